/** Methods that go through all entries. */

import {
  DUMP,
  END_SCAN,
  ENTRIES,
  KEYS,
  NEXT_PAGE,
  SCAN,
  ScanFields,
  VALUES,
  WALK,
  type Dump,
} from '../operations/scans.js';
import { BatchMethods } from './batches.js';

export abstract class ScanMethods<K extends string | number, V> extends BatchMethods<K, V> {
  /**
   * All keys, most recently used first.
   *
   * @example
   * ```js
   * await cache.keys({ prefix: 'user:' });
   * ```
   */
  keys(options?: { prefix?: string }): Promise<K[]> {
    return this.run(KEYS, options) as Promise<K[]>;
  }

  /**
   * All values, most recently used first.
   *
   * @example
   * ```js
   * await cache.values({ prefix: 'user:' });
   * ```
   */
  values(options?: { prefix?: string }): Promise<V[]> {
    return this.run(VALUES, options) as Promise<V[]>;
  }

  /**
   * All entries, most recently used first.
   *
   * @example
   * ```js
   * new Map(await cache.entries());
   * ```
   */
  entries(options?: { prefix?: string }): Promise<[K, V][]> {
    return this.run(ENTRIES, options) as Promise<[K, V][]>;
  }

  /**
   * All entries in no particular order, fetched in pages, so that they are never all in this process's memory at once.
   *
   * @example
   * ```js
   * for await (const [key, user] of cache) console.log(key, user);
   * ```
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<[K, V], void, void> {
    let page = await this.call(WALK, ScanFields.Unordered, undefined).catch((error: unknown) => {
      // An older host has them in order only.
      if ((error as { code?: unknown }).code !== 'ERR_CC_UNSUPPORTED') throw error;
      return this.call(SCAN, ScanFields.Entries, undefined);
    });
    try {
      while (true) {
        for (const { key, value } of page.entries) yield [key as K, value as V];
        const { cursor } = page;
        if (cursor === 0) return;
        page = await this.call(NEXT_PAGE, cursor);
      }
    } finally {
      const { cursor } = page;
      // The loop was left early: let the host drop the scan cursor.
      if (cursor !== 0 && !this.closedError) await this.call(END_SCAN, cursor).catch(() => {});
    }
  }

  /**
   * A snapshot with remaining times, most recently used first.
   *
   * @example
   * ```js
   * await writeFile('cache.json', JSON.stringify(await cache.dump()));
   * ```
   */
  dump(): Promise<Dump<K, V>> {
    return this.run(DUMP) as Promise<Dump<K, V>>;
  }
}
