'use strict';

// A child of a test file: a thread, a worker of its cluster, or a helper. It reads what the file has written, and
// counts.

const cluster = require('node:cluster');
const { isMainThread, parentPort } = require('node:worker_threads');
const { ClusteredCache } = require('clustered-cache');

const kind = isMainThread ? (cluster.isWorker ? 'worker' : 'helper') : 'thread';

async function tell() {
  const cache = new ClusteredCache({ attach: kind === 'helper', timeout: 30_000, failsafe: 'reject' });
  const found = { kind, file: await cache.get('file'), count: await cache.incr('relatives'), role: cache.role };
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  if (parentPort) parentPort.postMessage(found);
  else process.send(found, () => process.disconnect());
}

void tell();
