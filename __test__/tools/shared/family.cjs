'use strict';

// A test file and the processes and threads it starts. They share its cache, which is separate from that of another
// file with the same names.

const assert = require('node:assert/strict');
const { fork } = require('node:child_process');
const cluster = require('node:cluster');
const { randomUUID } = require('node:crypto');
const { once } = require('node:events');
const { Worker } = require('node:worker_threads');

const RELATIVE = require.resolve('./relative.cjs');

const STARTS = {
  thread: () => new Worker(RELATIVE),
  worker: () => {
    cluster.setupPrimary({ exec: RELATIVE, args: [], execArgv: [] });
    return cluster.fork();
  },
  helper: () => fork(RELATIVE, { execArgv: [] }),
};

/**
 * The message of a child; its request for the host arrives here too. Returned as a copy, because jest gives files
 * classes of their own.
 */
async function hear(start) {
  const relative = start();
  const told = [];
  relative.on('message', (message) => message.kind && told.push({ ...message }));
  await once(relative, 'exit');
  return told;
}

/** Opens the cache with the default name, and shares it with all kinds of children. */
async function family({ ClusteredCache }) {
  const cache = new ClusteredCache();
  const file = randomUUID();
  await cache.set('file', file);
  let count = 0;
  for (const [kind, start] of Object.entries(STARTS)) {
    count += 1;
    assert.deepEqual(await hear(start), [{ kind, file, count, role: kind === 'thread' ? 'host' : 'client' }]);
  }
  assert.equal(await cache.get('relatives'), count);
  assert.equal(await cache.get('file'), file);
  assert.deepEqual([...ClusteredCache.getAllCaches().keys()], ['default']);
  console.log(`relatives ${count}`);
}

module.exports = { family };
