// A limit that holds for the whole cluster, in one call.

import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { on } from 'node:events';
import { ClusteredCache } from 'clustered-cache';

const LIMIT = 10;
const MINUTE = 60_000;

const limits = new ClusteredCache({ namespace: 'limits', max: 100_000 });

/** Counts a request of `client`; `retryAfter` is in seconds, and 0 when the client may go on. */
async function admit(client) {
  // The time to live belongs to the window: it is set when the counter is created and not extended by later requests.
  const { value, remainingTTL } = await limits.count(client, 1, { ttl: MINUTE });
  return {
    remaining: Math.max(0, LIMIT - value),
    retryAfter: value > LIMIT ? Math.ceil(remainingTTL / 1_000) : 0,
  };
}

/** What a worker reports. Others may send messages too, this package among them. */
async function report(worker) {
  for await (const [message] of on(worker, 'message')) {
    if ('admitted' in message) return message;
  }
}

if (cluster.isPrimary) {
  const workers = [cluster.fork(), cluster.fork()];
  const reports = await Promise.all(workers.map(report));
  const admitted = reports.reduce((sum, { admitted }) => sum + admitted, 0);

  assert.equal(admitted, LIMIT);
  console.log(`${admitted} of ${2 * 20} requests admitted, whatever worker they came to`);
  await limits.close();
} else {
  const answers = await Promise.all(Array.from({ length: 20 }, () => admit('203.0.113.7')));
  const refused = answers.filter((answer) => answer.retryAfter > 0);
  for (const { remaining, retryAfter } of refused) {
    assert.equal(remaining, 0);
    assert.ok(retryAfter <= 60);
  }
  process.send({ admitted: answers.length - refused.length });
  await limits.close();
  cluster.worker.disconnect();
}
