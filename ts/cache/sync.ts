/**
 * The synchronous half of a cache: the same methods without a promise. Reads of one key are answered from memory, so
 * they work wherever the data can be read without a round trip, and are written by hand. All other twins work only in
 * the host, which owns the data, and are made from the definitions of the methods.
 */

import { codedError, withPlace, type ErrorCode } from '../errors.js';
import { GET, HAS, PEEK } from '../operations/entries.js';
import { METHODS, type Method, type SyncMethodName } from '../operations/methods.js';
import type { Operation } from '../operations/operation.js';
import { NamespaceMethods } from './namespace.js';

/** The methods whose twins read memory. */
const FROM_MEMORY = ['get', 'peek', 'has'] as const;

/** The methods whose twins are made from their definitions. */
type TwinnedName = Exclude<SyncMethodName, (typeof FROM_MEMORY)[number]>;

/** The type of the twin of a method. Written as a method, so that its parameters are compared as those of methods are. */
type TwinOf<M> = M extends {
  (...args: infer A): Promise<infer R>;
  (...args: infer B): Promise<infer S>;
}
  ? {
      /** As the method of the same name without `Sync`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
      twin(...args: A): R;
      /** As the method of the same name without `Sync`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
      twin(...args: B): S;
    }['twin']
  : never;

type Twins<K extends string | number, V> = {
  [Name in TwinnedName as `${Name}Sync`]: TwinOf<NamespaceMethods<K, V>[Name]>;
};

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the static block below defines them
export interface SyncMethods<K extends string | number, V> extends Twins<K, V> {}

export abstract class SyncMethods<K extends string | number, V> extends NamespaceMethods<K, V> {
  static {
    const byHand: readonly string[] = FROM_MEMORY;
    for (const method of METHODS) if (method.sync && !byHand.includes(method.method)) this.#addTwin(method);
  }

  static #addTwin(of: Method): void {
    const name = `${of.method}Sync`;
    type This = SyncMethods<string | number, unknown>;
    const value =
      'run' in of
        ? function (this: This, ...args: unknown[]) {
            this.#requireHost(name);
            return this.runNow(of, ...args);
          }
        : function (this: This, first: unknown, second: unknown, third: unknown, fourth: unknown) {
            this.#requireHost(name);
            return this.callNow(of, first, second, third, fourth);
          };
    Object.defineProperty(value, 'name', { value: name });
    Object.defineProperty(this.prototype, name, { value, configurable: true, writable: true });
  }

  /**
   * The value, at once, from memory.
   *
   * @throws `ERR_CC_NO_SHARED_TABLE` in a client that cannot read the host's memory, and before {@link ready}.
   * @example
   * ```js
   * const user = cache.getSync('user:1');
   * ```
   */
  getSync(key: K): V | undefined {
    const found = this.near?.find(key);
    return found === undefined ? this.#get(key) : (found as V);
  }

  /** The value, at once and without touching recency. @throws `ERR_CC_NO_SHARED_TABLE` as {@link getSync}. */
  peekSync(key: K): V | undefined {
    const found = this.near?.peek(key);
    return found === undefined ? this.#peek(key) : (found as V);
  }

  /** Whether there is a fresh entry, at once. @throws `ERR_CC_NO_SHARED_TABLE` as {@link getSync}. */
  hasSync(key: K): boolean {
    return this.near?.peek(key) !== undefined || this.#has(key);
  }

  // No closures here: each would cost as much as the read from memory.

  #get(key: K): V | undefined {
    if (this.closedError) throw this.closedError;
    const { near, link } = this;
    link.catchUp();
    near?.asking(key);
    const operation = near?.get ?? GET;
    const value = link.canRead ? this.native.get(key) : undefined;
    return this.#answer('getSync', operation, key, value) as V | undefined;
  }

  #peek(key: K): V | undefined {
    if (this.closedError) throw this.closedError;
    this.link.catchUp();
    const value = this.link.canRead ? this.native.peek(key) : undefined;
    return this.#answer('peekSync', PEEK, key, value) as V | undefined;
  }

  #has(key: K): boolean {
    if (this.closedError) throw this.closedError;
    this.link.catchUp();
    const value = this.link.canRead ? this.native.has(key) : undefined;
    return this.#answer('hasSync', HAS, key, value);
  }

  #answer<T>(method: string, operation: Operation<T, [key: K]>, key: K, value: unknown): T {
    const { link, native, policy } = this;
    if (link.canRead && !link.isPending) return link.immediate(value, operation, policy, key);
    return link.awaited(this.handle, operation, key, policy, native, () =>
      this.#refusal('ERR_CC_NO_SHARED_TABLE', method, 'there is no shared table to read from'),
    );
  }

  #requireHost(method: string): void {
    if (this.closedError) throw this.closedError;
    if (!this.link.isHost) throw this.#refusal('ERR_CC_NOT_HOST', method, 'only the host can do it without waiting');
  }

  #refusal(code: ErrorCode, method: string, why: string): Error {
    const message = `${method}() was called in a client: ${why}; await ${method.replace('Sync', '')}() instead`;
    return withPlace(codedError(code, message), { namespace: this.namespace, operation: method });
  }
}
