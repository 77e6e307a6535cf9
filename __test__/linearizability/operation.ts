/** What a key holds; `undefined` when there is nothing. */
export type Value = string | number | undefined;

export type Kind = 'get' | 'has' | 'set' | 'delete' | 'incr' | 'setIfAbsent' | 'getAndDelete' | 'getAndSet' | 'clear';

/** One operation on one key, as the process that asked for it saw it. */
export interface Operation {
  readonly key: string;
  /** The process, and how it reads. */
  readonly who: string;
  readonly kind: Kind;
  /** Value of `set`, `setIfAbsent` and `getAndSet`, amount of `incr`. */
  readonly argument?: string | number;
  /** `undefined` is an answer too: nothing there. That of `clear` tells of no single key and is left out. */
  readonly answer?: string | number | boolean;
  /** When it was requested, in nanoseconds of a clock that all processes share. */
  readonly from: number;
  /** When it was answered. `Infinity`: never; it may take effect at any time after `from`, or not at all. */
  readonly to: number;
}

export const answered = (operation: Operation): boolean => operation.to !== Infinity;

/** The answer of `operation` when the key holds `value`. */
export function reply({ kind, argument }: Operation, value: Value): Operation['answer'] {
  switch (kind) {
    case 'get':
    case 'getAndDelete':
    case 'getAndSet':
      return value;
    case 'has':
    case 'delete':
      return value !== undefined;
    case 'set':
      return true;
    case 'setIfAbsent':
      return value === undefined;
    case 'incr':
      // A text cannot be counted on: the operation rejects, and no answer that was given fits.
      return typeof value === 'string' ? undefined : (value ?? 0) + Number(argument);
    case 'clear':
      return undefined;
  }
}

/** The value of the key after `operation`, given the value before. */
export function effect({ kind, argument }: Operation, value: Value): Value {
  switch (kind) {
    case 'get':
    case 'has':
      return value;
    case 'set':
    case 'getAndSet':
      return argument;
    case 'setIfAbsent':
      return value ?? argument;
    case 'incr':
      return typeof value === 'string' ? value : (value ?? 0) + Number(argument);
    case 'delete':
    case 'getAndDelete':
    case 'clear':
      return undefined;
  }
}

/** Whether `operation` cannot have changed anything, wherever in the order it took place: its answer says so. */
export function observes({ kind, answer, to }: Operation): boolean {
  switch (kind) {
    case 'get':
    case 'has':
      return true;
    case 'delete':
    case 'setIfAbsent':
      return to !== Infinity && answer === false;
    case 'getAndDelete':
      return to !== Infinity && answer === undefined;
    case 'set':
    case 'getAndSet':
    case 'incr':
    case 'clear':
      return false;
  }
}
