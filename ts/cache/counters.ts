/** Methods on counters. */

import type { Counted } from '../operations/answers.js';
import { COUNT, DECR, INCR } from '../operations/counters.js';
import type { CountOptions } from '../options/calls.js';
import { EntryMethods } from './entries.js';

export abstract class CounterMethods<K extends string | number, V> extends EntryMethods<K, V> {
  /**
   * Adds to a counter, 1 by default, and resolves its new value. A missing counter starts at 0; its `ttl` counts from
   * its creation, so that a window is not extended. `min` and `max` clamp. With `ifPresent` a missing counter is not
   * created, and `undefined` resolved.
   *
   * @example
   * ```js
   * const hits = await cache.incr('hits:home', 1, { ttl: 60_000 });
   * ```
   */
  incr(key: K, amount: number | undefined, options: CountOptions & { ifPresent: true }): Promise<number | undefined>;
  incr(key: K, amount?: number, options?: CountOptions & { ifPresent?: false }): Promise<number>;
  incr(key: K, amount?: number, options?: CountOptions): Promise<number | undefined> {
    return this.call(INCR, key, amount, options);
  }

  /**
   * Subtracts from a counter, 1 by default; see {@link incr}.
   *
   * @example
   * ```js
   * await cache.decr('slots', 1, { min: 0 });
   * ```
   */
  decr(key: K, amount: number | undefined, options: CountOptions & { ifPresent: true }): Promise<number | undefined>;
  decr(key: K, amount?: number, options?: CountOptions & { ifPresent?: false }): Promise<number>;
  decr(key: K, amount?: number, options?: CountOptions): Promise<number | undefined> {
    return this.call(DECR, key, amount, options);
  }

  /**
   * As {@link incr}, but also resolves, in the same atomic step, what rate limiters need. With `now` the window is kept
   * and judged by the caller's clock: where a test sets the time, windows end as it says.
   *
   * @example
   * ```js
   * const { value, remainingTTL, created } = await cache.count('ip:1.2.3.4', 1, { ttl: 60_000 });
   * ```
   */
  count(key: K, amount: number | undefined, options: CountOptions & { ifPresent: true }): Promise<Counted | undefined>;
  count(key: K, amount?: number, options?: CountOptions & { ifPresent?: false }): Promise<Counted>;
  count(key: K, amount?: number, options?: CountOptions): Promise<Counted | undefined> {
    return this.call(COUNT, key, amount, options);
  }
}
