// Processes outside a cluster: one listens, the others connect to its endpoint.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ClusteredCache } from 'clustered-cache';

if (process.argv[2] !== 'client') {
  const { endpoint, close } = await ClusteredCache.listen();
  const jobs = new ClusteredCache({ namespace: 'jobs' });
  await jobs.set('report', { state: 'waiting' });

  // The endpoint is all that a process of the same user needs. With the variable, no code has to give it; the
  // alternative is `new ClusteredCache({ endpoint, namespace: 'jobs' })`.
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

  // Exactly one of the processes that try gets the job.
  assert.equal(await jobs.setIfAbsent('report:owner', process.pid, { ttl: 30_000 }), true);
  assert.equal(await jobs.setIfAbsent('report:owner', process.pid, { ttl: 30_000 }), false);

  await jobs.set('report', { state: 'done', by: process.pid });
  console.log('client: did the report');
  await jobs.close();
}
