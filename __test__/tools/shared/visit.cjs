'use strict';

// What each test file does: it opens a cache under a name that another file has too, and tells how many were there.

const assert = require('node:assert/strict');
const { readdirSync, readFileSync } = require('node:fs');

/** The only place where a cache puts its socket here: a directory that `scripts/tools.mjs` made for this run. */
const runtime = process.env.XDG_RUNTIME_DIR;

/** Sockets and files of caches in this run. */
const traces = () => [
  ...readdirSync(runtime, { recursive: true }),
  ...(process.platform === 'linux'
    ? readFileSync('/proc/self/net/unix', 'utf8')
        .split('\n')
        .filter((line) => line.includes(runtime))
    : []),
];

/** Uses a cache of the name that everybody gets who gives none; left open, for a test must end all the same. */
async function visit({ ClusteredCache }) {
  const cache = new ClusteredCache({ near: true });
  const visitor = await cache.incr('visitors');
  await cache.set('file', { of: visitor });
  assert.deepEqual(await cache.get('file'), { of: visitor });
  assert.equal(cache.role, 'host');
  assert.deepEqual(traces(), []);
  console.log(`visitor ${visitor}`);
}

module.exports = { traces, visit };
