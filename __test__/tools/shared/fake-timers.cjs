'use strict';

// What a cache does while a test framework has replaced the clocks and timers. Runs in each framework.

const assert = require('node:assert/strict');

/** `use` replaces all that the framework can replace, `restore` undoes it. */
exports.check = async ({ ClusteredCache }, { use, restore }) => {
  const { endpoint, close } = await ClusteredCache.listen();
  const cache = new ClusteredCache({ namespace: 'timers', endpoint, near: true, failsafe: 'reject' });
  await cache.ready;
  const began = Date.now();
  use(began - 86_400_000);
  try {
    assert.ok(Date.now() < began, 'the clock is that of the test');
    assert.equal(await cache.set('key', { n: 1 }), true);
    assert.deepEqual(await cache.get('key'), { n: 1 });
    assert.equal(await cache.incr('count'), 1);
    assert.equal(await cache.fetch('loaded', () => 'value'), 'value');
    await cache.set('soon', 1, { expiresAt: Date.now() + 60_000 });
    const remaining = await cache.getRemainingTTL('soon');
    assert.ok(remaining > 30_000 && remaining <= 60_000, `the end is that of the test's clock: ${remaining}`);
    await cache.set('short', 1, { ttl: 1 });
    // By the real clock, which no fake one holds up.
    while ((await cache.get('short')) !== undefined);
  } finally {
    restore();
  }
  assert.equal(await cache.incr('count'), 2);
  await cache.close();
  await close();
  console.log('seen');
};
