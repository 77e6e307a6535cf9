// One cache for every worker of a cluster: a value set by one is visible to all.

import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { ClusteredCache } from 'clustered-cache';

const cache = new ClusteredCache({ namespace: 'quick-start', max: 10_000, ttl: 60_000 });

if (cluster.isPrimary) {
  await cache.set('greeting', { text: 'hello', from: 'the primary' });

  const workers = [cluster.fork(), cluster.fork(), cluster.fork()];
  const exits = await Promise.all(workers.map((worker) => once(worker, 'exit')));
  assert.deepEqual(exits, [
    [0, null],
    [0, null],
    [0, null],
  ]);

  assert.equal(await cache.get('visits'), 3);
  console.log('visits:', await cache.get('visits'));
  await cache.close();
} else {
  const greeting = await cache.get('greeting');
  assert.deepEqual(greeting, { text: 'hello', from: 'the primary' });

  // Atomic in the host: no two workers get the same number.
  console.log(`worker ${cluster.worker.id} is visitor`, await cache.incr('visits'));
  await cache.close();
  cluster.worker.disconnect();
}
