// A user's CommonJS module, with a worker that shares its cache.

'use strict';

const assert = require('node:assert/strict');
const cluster = require('node:cluster');
const { ClusteredCache } = require('clustered-cache');

const cache = new ClusteredCache({ namespace: 'consumer' });

async function main() {
  if (cluster.isWorker) {
    assert.equal(await cache.get('key'), 'from the primary');
    assert.equal(await cache.incr('visits'), 1);
    await cache.close();
    cluster.worker.disconnect();
    return;
  }
  assert.equal(await cache.set('key', 'from the primary'), true);
  const [code] = await require('node:events').once(cluster.fork(), 'exit');
  assert.equal(code, 0);
  assert.equal(await cache.get('visits'), 1);
  await cache.close();
}

main();
