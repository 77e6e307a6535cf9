// Processes that no cluster joins: one listens, others are told where.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ClusteredCache } from 'clustered-cache';

if (process.argv[2] !== 'client') {
  const { endpoint, close } = await ClusteredCache.listen();
  const jobs = new ClusteredCache({ namespace: 'jobs' });
  await jobs.set('report', { state: 'waiting' });

  // The endpoint is all a process of the same user needs. The variable spares it from saying so in code:
  // it could as well pass `new ClusteredCache({ endpoint, namespace: 'jobs' })`.
  const client = spawn(process.execPath, [fileURLToPath(import.meta.url), 'client'], {
    env: { ...process.env, CLUSTERED_CACHE_ENDPOINT: endpoint },
    stdio: 'inherit',
  });
  const [code] = await once(client, 'exit');
  assert.equal(code, 0);

  assert.deepEqual(await jobs.get('report'), { state: 'done', by: client.pid });
  console.log('host: the report is done');
  await jobs.close();
  await close();
} else {
  const jobs = new ClusteredCache({ namespace: 'jobs' });
  assert.equal(jobs.role, 'client');
  assert.deepEqual(await jobs.get('report'), { state: 'waiting' });

  // Of all processes that try, one gets the job.
  assert.equal(await jobs.setIfAbsent('report:owner', process.pid, { ttl: 30_000 }), true);
  assert.equal(await jobs.setIfAbsent('report:owner', process.pid, { ttl: 30_000 }), false);

  await jobs.set('report', { state: 'done', by: process.pid });
  console.log('client: did the report');
  await jobs.close();
}
