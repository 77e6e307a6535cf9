// A limit that holds for the whole cluster, in one call.

import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { ClusteredCache } from 'clustered-cache';

const LIMIT = 10;
const MINUTE = 60_000;
const REQUESTS = 20;

const limits = new ClusteredCache({ namespace: 'limits', max: 100_000 });

/** Counts a request of `client`; `retryAfter` is in seconds, and 0 when the request is admitted. */
async function admit(client) {
  // The time to live belongs to the window: it is set when the counter is created and not extended by later requests.
  const { value, remainingTTL } = await limits.count(client, 1, { ttl: MINUTE });
  return {
    remaining: Math.max(0, LIMIT - value),
    retryAfter: value > LIMIT ? Math.ceil(remainingTTL / 1_000) : 0,
  };
}

if (cluster.isPrimary) {
  const workers = [cluster.fork(), cluster.fork()];
  await Promise.all(workers.map((worker) => once(worker, 'exit')));

  assert.equal(await limits.get('admitted'), LIMIT);
  console.log(`${LIMIT} of ${2 * REQUESTS} requests admitted, whichever workers received them`);
  await limits.close();
} else {
  const answers = await Promise.all(Array.from({ length: REQUESTS }, () => admit('203.0.113.7')));
  const refused = answers.filter((answer) => answer.retryAfter > 0);
  for (const { remaining, retryAfter } of refused) {
    assert.equal(remaining, 0);
    assert.ok(retryAfter <= 60);
  }
  await limits.incr('admitted', REQUESTS - refused.length);
  await limits.close();
  cluster.worker.disconnect();
}
