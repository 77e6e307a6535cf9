/** A call of a cache in another process, which sees nothing of this file. */
export interface Call {
  /** The operations that it asks the host for. */
  operations: readonly string[];
  make: (cache: any, cc: any, options: any) => unknown;
  expected: unknown;
}

const call = (operations: string, make: Call['make'], expected: unknown): Call => ({
  operations: operations.split(' '),
  make,
  expected,
});

/** Operations that no call of a user asks for. */
export const BEHIND_THE_SCENES = [
  // A client that has not heard from its host for long.
  'PingHost',
  // Standbys: elections.spec.ts.
  'StandBy',
  'Ready',
];

/**
 * Every operation that the older build has, with each of its options and sorts of answers. One after the other, in a
 * namespace of their own: each may go by what those before it have left.
 */
export const CALLS: readonly Call[] = [
  call('Ping', (cache) => cache.healthCheck(), true),
  call('Set', (cache) => cache.set('key', { n: 1 }, { ttl: 600_000, size: 9 }), true),
  call('Set', (cache) => cache.set('later', 1, { expiresAt: Date.now() + 600_000 }), true),
  call('Set Has', async (cache) => [await cache.set('later', 1, { expiresAt: 1 }), await cache.has('later')], [
    false,
    false,
  ]),
  call('Get', (cache) => cache.get('key'), { n: 1 }),
  call('Get', (cache) => cache.get('absent'), undefined),
  call('Peek', (cache) => cache.peek('key'), { n: 1 }),
  call('Has', (cache) => cache.has('key'), true),
  call(
    'Info',
    async (cache) => {
      const { size, remainingTTL, created } = await cache.info('key');
      return [size, remainingTTL > 500_000 && remainingTTL <= 600_000, Math.abs(Date.now() - created) < 60_000];
    },
    [9, true, true],
  ),
  call('Touch Info', async (cache) => [await cache.touch('key', { ttl: 0 }), await cache.getRemainingTTL('key')], [
    true,
    Infinity,
  ]),
  call('SetIfAbsent', async (cache) => [await cache.setIfAbsent('key', 2), await cache.setIfAbsent('new', 2)], [
    false,
    true,
  ]),
  call('Delete', async (cache) => [await cache.delete('new'), await cache.delete('new')], [true, false]),
  call('GetAndDelete', async (cache) => [await cache.getAndDelete('key'), await cache.getAndDelete('key')], [
    { n: 1 },
    undefined,
  ]),
  call(
    'Set Get',
    async (cache) => {
      const [large, tooLarge] = [Buffer.alloc(2 ** 20, 7), Buffer.alloc(17 * 2 ** 20)];
      await cache.set('large', large);
      const found = await cache.get('large');
      return [found.equals(large), await cache.set('large', tooLarge), await cache.get('large')];
    },
    [true, false, undefined],
  ),
  call('Count', (cache) => cache.incr('n', 5, { ttl: 600_000, max: 3, size: 2 }), 3),
  call('Count', (cache) => cache.decr('n', 9, { min: -1 }), -1),
  call(
    'Count',
    async (cache) => {
      const { value, remainingTTL, created } = await cache.count('n', 2);
      return [value, remainingTTL > 500_000 && remainingTTL <= 600_000, created];
    },
    [1, true, false],
  ),
  call(
    'MSet MGet MHas MDelete',
    async (cache) => [
      await cache.mSet([
        ['a', 1],
        ['b', 2, { ttl: 600_000, size: 3 }],
        ['c', Buffer.alloc(17 * 2 ** 20)],
      ]),
      await cache.mGet(['b', 'absent', 'a']),
      await cache.mHas(['absent', 'a']),
      await cache.mDelete(['a', 'b', 'absent']),
    ],
    [
      2,
      new Map([
        ['b', 2],
        ['absent', undefined],
        ['a', 1],
      ]),
      new Map([
        ['absent', false],
        ['a', true],
      ]),
      2,
    ],
  ),
  call(
    'MSet Scan ScanNext',
    async (cache) => {
      await cache.mSet(Array.from({ length: 3_000 }, (_, n) => [`many:${n}`, n]));
      const seen = [];
      for await (const [key] of cache) seen.push(key);
      const keys = await cache.keys({ prefix: 'many:' });
      const values = await cache.values({ prefix: 'many:' });
      const entries = await cache.entries({ prefix: 'many:' });
      return [seen.length, new Set(seen).size, keys.length, values[0], entries[0]];
    },
    [3_001, 3_001, 3_000, 2_999, ['many:2999', 2_999]],
  ),
  call(
    'Scan ScanEnd',
    async (cache) => {
      for await (const [key] of cache) return key;
      return undefined;
    },
    'many:2999',
  ),
  call('Clear', (cache) => cache.clear({ prefix: 'many:' }), 3_000),
  call(
    'Scan MSet',
    async (cache) => {
      await cache.set('key', 'dumped', { ttl: 600_000, size: 4 });
      const dumped = await cache.dump();
      await cache.clear();
      const loaded = await cache.load(dumped);
      const { size, remainingTTL } = await cache.info('key');
      return [loaded, await cache.keys(), size, remainingTTL > 500_000 && remainingTTL <= 600_000];
    },
    [2, ['key', 'n'], 4, true],
  ),
  call(
    'Fetch Complete',
    async (cache) => {
      const all = Array.from({ length: 5 }, () => cache.fetch('loaded', () => ({ loaded: true }), { ttl: 600_000 }));
      const again = await cache.fetch('loaded', () => 'again', { forceRefresh: true, lease: 5_000 });
      return [(await Promise.all(all)).length, again, await cache.get('loaded')];
    },
    [5, 'again', 'again'],
  ),
  call(
    'Fetch Complete CancelWait',
    async (cache, cc, options) => {
      const other = new cc.ClusteredCache({ ...options, timeout: 14_000 });
      let fail: ((error: Error) => void) | undefined;
      const leading = cache.fetch('failing', () => new Promise((_, reject) => (fail = reject)));
      const isLed = async () => (await cache.stats()).fetches.leads > 2 && fail;
      while (!(await isLed()));
      const { waits } = (await cache.stats()).fetches;
      const controller = new AbortController();
      const leaving = other.fetch('failing', () => 'not this', { signal: controller.signal });
      const waiting = other.fetch('failing', () => 'not this');
      while ((await cache.stats()).fetches.waits < waits + 2);
      controller.abort();
      const left = await leaving.catch((error: Error) => error.name);
      fail!(Object.assign(new TypeError('as it was'), { code: 'E_OWN' }));
      const errors = await Promise.all(
        [leading, waiting].map((one) => one.catch((error: any) => [error.name, error.message, error.code])),
      );
      await other.close();
      return [left, ...errors];
    },
    ['AbortError', ['TypeError', 'as it was', 'E_OWN'], ['TypeError', 'as it was', 'E_OWN']],
  ),
  call(
    'Open Release',
    async (_cache, cc, options) => {
      const settings = { max: 7, maxSize: 1_000, maxEntrySize: 900, ttl: 5_000, allowStale: true, cacheNull: true };
      const flags = { updateAgeOnGet: true, updateAgeOnHas: true, noDeleteOnStaleGet: true, ttlAutopurge: true };
      const other = new cc.ClusteredCache({
        ...options,
        namespace: `${options.namespace}-options`,
        ...settings,
        ...flags,
      });
      await other.set('null', null);
      const found = [await other.get('null'), await other.max(), await other.ttl(), await other.allowStale()];
      await other.destroy();
      await other.close();
      return found;
    },
    [null, 7, 5_000, true],
  ),
  call(
    'Tune',
    async (cache) => [await cache.max(5_000), await cache.ttl(60_000), await cache.max()],
    [5_000, 60_000, 5_000],
  ),
  call('PurgeStale', (cache) => cache.purgeStale(), false),
  call(
    'Stats AccessReport',
    async (cache) => {
      await cache.set('read', 1);
      const before = await cache.stats();
      for (let n = 0; n < 100; n += 1) await cache.get('read');
      const { hits, misses, size, epoch, uptime } = await cache.stats();
      return [hits - before.hits, misses - before.misses, size > 0, epoch === before.epoch, uptime > 0];
    },
    [100, 0, true, true, true],
  ),
  call(
    'Destroy Has',
    async (cache) => {
      await cache.destroy();
      return [await cache.has('read'), await cache.set('read', 2)];
    },
    [false, true],
  ),
];
