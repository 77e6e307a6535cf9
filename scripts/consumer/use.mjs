// A user's ES module.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { ClusteredCache, isClusteredCacheError, memoize, wrap } from 'clustered-cache';

const cache = new ClusteredCache({ namespace: 'consumer', ttl: 60_000 });
assert.equal(await cache.set('key', { from: 'esm' }), true);

// The same cache through the other module system: one class, the same entries.
const common = createRequire(import.meta.url)('clustered-cache');
assert.equal(common.ClusteredCache, ClusteredCache);
assert.deepEqual(await new common.ClusteredCache({ namespace: 'consumer' }).get('key'), { from: 'esm' });

const double = memoize(cache, async (number) => number * 2, String);
assert.equal(await double(21), 42);

const dates = wrap(cache, { encode: (date) => date.getTime(), decode: (time) => new Date(time) });
await dates.set('date', new Date(0));
assert.deepEqual(await dates.get('date'), new Date(0));

await assert.rejects(
  cache.incr('key'),
  (error) => isClusteredCacheError(error) && error.code === 'ERR_CC_NOT_A_NUMBER',
);
await cache.close();
