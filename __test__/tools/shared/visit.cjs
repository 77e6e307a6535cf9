'use strict';

// Runs in each test file: opens a cache with a name that another file also uses, and reports how many entries it has.

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

/** Uses a cache with the default name. It is left open, because a test must end nevertheless. */
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
