/** The checks of single options, and the errors for invalid ones. */

import { codedError, rangeError } from '../errors.js';

/** Throws if the value is not allowed for the option `name`. */
export type Check = (name: string, value: unknown) => void;

/** The longest delay a Node timer takes. */
const MAX_TIMEOUT = 2 ** 31 - 1;
/** Shorter intervals would write all the time. */
const MIN_INTERVAL = 1_000;

/** The refusal of an option; the message names it, its value and what is allowed. */
export function invalidOption(name: string, value: unknown, allowed: string, isRange = false): Error {
  const message = `option \`${name}\` is ${show(value)}; allowed is ${allowed}`;
  return isRange ? rangeError('ERR_CC_INVALID_OPTION', message) : codedError('ERR_CC_INVALID_OPTION', message);
}

/** A value in a message: short, and safe for anything. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  if (typeof value === 'function') return 'a function';
  return typeof value === 'bigint' ? `${value}n` : String(value);
}

export function plainObject(name: string, value: unknown): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidOption(name, value, 'an object');
  }
  return value;
}

/**
 * Checks the options of an object and copies them, reading each once: what an accessor returns is what was checked.
 * Inherited options count like own ones; an own name that is not in `checks` is refused.
 */
export function readOptions(
  what: string,
  given: unknown,
  checks: Readonly<Record<string, Check>>,
): Record<string, unknown> {
  const options = plainObject(what, given) as Record<string, unknown>;
  const names = Object.keys(checks);
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) throw invalidOption(name, options[name], `one of ${names.join(', ')}`);
  }
  const checked: Record<string, unknown> = {};
  for (const name of names) {
    const value = options[name];
    if (value === undefined) continue;
    (checks[name] as Check)(name, value);
    checked[name] = value;
  }
  return checked;
}

export function number(name: string, value: unknown, allowed: string, isAllowed: (value: number) => boolean): void {
  if (typeof value !== 'number') throw invalidOption(name, value, allowed);
  if (!isAllowed(value)) throw invalidOption(name, value, allowed, true);
}

export function positiveInteger(name: string, value: unknown): void {
  number(name, value, 'a positive integer', (n) => Number.isSafeInteger(n) && n > 0);
}

/** A positive integer of at most `limit`. */
export function positiveIntegerUpTo(limit: number): Check {
  const allowed = `a positive integer of at most ${limit}`;
  return (name, value) => number(name, value, allowed, (n) => Number.isInteger(n) && n > 0 && n <= limit);
}

export function duration(name: string, value: unknown): void {
  number(name, value, 'a number of milliseconds, 0 for none', (n) => n >= 0 && n <= Number.MAX_SAFE_INTEGER / 1000);
}

export function positive(name: string, value: unknown): void {
  number(name, value, 'a positive number of milliseconds', (n) => n > 0 && Number.isFinite(n));
}

export function timeLimit(name: string, value: unknown): void {
  number(name, value, `a number of milliseconds from 1 to ${MAX_TIMEOUT}`, (n) => n >= 1 && n <= MAX_TIMEOUT);
}

export function timeLimitOrNone(name: string, value: unknown): void {
  number(name, value, `a number of milliseconds up to ${MAX_TIMEOUT}, 0 for none`, (n) => n >= 0 && n <= MAX_TIMEOUT);
}

export function finite(name: string, value: unknown): void {
  number(name, value, 'a finite number', Number.isFinite);
}

export function boolean(name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw invalidOption(name, value, 'true or false');
}

export function text(name: string, value: unknown): void {
  if (typeof value !== 'string') throw invalidOption(name, value, 'a string');
}

export function path(name: string, value: unknown): void {
  if (typeof value !== 'string' || value === '') throw invalidOption(name, value, "the path of a host's socket");
}

/** Checks the time between two snapshots. */
export function snapshotInterval(name: string, value: unknown): void {
  const allowed = `a number of milliseconds from ${MIN_INTERVAL} to ${MAX_TIMEOUT}, 0 for none`;
  number(name, value, allowed, (n) => n === 0 || (n >= MIN_INTERVAL && n <= MAX_TIMEOUT));
}

export function oneOf(...allowed: string[]): (name: string, value: unknown) => void {
  return (name, value) => {
    if (!allowed.includes(value as string)) {
      throw invalidOption(name, value, allowed.map((one) => `'${one}'`).join(' or '));
    }
  };
}

export function abortSignal(name: string, value: unknown): void {
  // Checked by its shape, because test runners bring a class of their own.
  const signal = value as Partial<AbortSignal> | null;
  if (typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function') return;
  throw invalidOption(name, value, 'an AbortSignal');
}
