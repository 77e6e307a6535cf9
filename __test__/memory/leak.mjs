// Looks for growth: runs every path repeatedly, including the failing ones, and compares the memory after forced
// collections. `node --expose-gc --max-semi-space-size=1 __test__/memory/leak.mjs [rounds]`; exits 1 when memory grows
// with the rounds.
import { ClusteredCache, wrap } from '../../index.mjs';

const ROUNDS = Number(process.argv[2] ?? 20);
const CALLS = 500;
/** Growth that is noise: caches of the engine, pages of the allocator. */
const ALLOWED_HEAP = 2 ** 20;
const ALLOWED_RSS = 24 * 2 ** 20;

if (!globalThis.gc) {
  console.error('run with --expose-gc');
  process.exit(2);
}

const endpoint = process.env.CC_LEAK_ENDPOINT;
const role = endpoint ? 'client' : 'host';
const open = (options = {}) => new ClusteredCache({ namespace: 'leak', ...(endpoint && { endpoint }), ...options });
const ignore = () => {};
const buffer = Buffer.alloc(10_000, 1);
const object = { id: 1, name: 'x'.repeat(200), list: [1, 2, 3], when: new Date(0) };
const cyclic = { self: null };
cyclic.self = cyclic;
const typed = { encode: (value) => JSON.stringify(value), decode: (text) => JSON.parse(text) };

/** Each path: one call, with a number that differs from call to call. */
const PATHS = {
  'set and get objects': async (cache, n) => {
    await cache.set(n % 50, object);
    await cache.get(n % 50);
  },
  'set and get buffers': async (cache, n) => {
    await cache.set(`b${n % 50}`, buffer);
    await cache.get(`b${n % 50}`);
  },
  'delete and clear': async (cache, n) => {
    await cache.set('gone', cyclic);
    await (n % 10 ? cache.delete('gone') : cache.clear());
  },
  count: (cache, n) => cache.count(`n${n % 50}`, 1, { ttl: 1_000 }),
  'many at once': async (cache, n) => {
    await cache.mSet([
      [`m${n % 50}`, object],
      ['m', buffer],
    ]);
    await cache.mGet([`m${n % 50}`, 'm', 'absent']);
  },
  iterate: async (cache) => {
    for await (const _ of cache) break;
    await cache.keys({ prefix: 'm' });
  },
  fetch: async (cache, n) => {
    await Promise.all([1, 2].map(() => cache.fetch(`f${n}`, async () => object, { ttl: 1 })));
    await cache.delete(`f${n}`);
  },
  'fetch that fails': (cache, n) =>
    Promise.all(
      [1, 2].map(() =>
        cache
          .fetch(`e${n}`, async () => {
            throw new Error('loader', { cause: new Error('cause') });
          })
          .catch(ignore),
      ),
    ),
  'fetch that is aborted': async (cache, n) => {
    const controller = new AbortController();
    const answer = cache.fetch(`a${n}`, () => new Promise(ignore), { signal: controller.signal }).catch(ignore);
    controller.abort();
    await answer;
    // Neither an abort nor an answer from memory returns to the event loop: requests must not pile up.
    await cache.has(`a${n}`);
  },
  'refused keys': (cache) => cache.get(Symbol('key')).catch(ignore),
  'refused values': (cache) => cache.set('key', ignore).catch(ignore),
  'refused counters': async (cache) => {
    await cache.set('text', 'text');
    await cache.incr('text').catch(ignore);
  },
  'values over the limit': (cache) => cache.set('large', 'x'.repeat(200_000)),
  codec: async (cache) => {
    const view = wrap(cache, typed);
    await view.set('w', object);
    await view.get('w');
  },
  'read at once': (cache, n) => {
    if (cache.transport === 'socket') return;
    cache.getSync(n % 50);
    cache.peekSync(`m${n % 50}`);
    cache.hasSync(`absent ${n}`);
    cache.getSync(`b${n % 50}`);
  },
  'read keys that come and go': async (cache, n) => {
    await cache.set(`g${n}`, object);
    await cache.get(`g${n}`);
    await cache.peek(`g${n}`);
    if (n % 2) await cache.delete(`g${n}`);
  },
  'read through a near cache': async (_cache, n) => {
    await near.set(`k${n % 300}`, n % 3 ? { n } : object);
    for (let read = 0; read < 5; read += 1) await near.get(`k${(n + read) % 300}`);
    await near.mGet([`k${n % 300}`, `absent ${n}`]);
    if (n % 7 === 0) await near.delete(`k${n % 300}`);
  },
  'read through a near cache what ends': async (_cache, n) => {
    await near.set(`t${n}`, { n }, { ttl: 1 });
    await near.get(`t${n}`);
  },
  'near caches that are opened and closed': async (cache, n) => {
    const own = open({ near: { max: 5 } });
    await cache.set('near', { n });
    await own.get('near');
    await own.get('near');
    await own.close();
  },
  'memory that gives way to other memory': async (_cache, n) => {
    // Rarely, because it moves all entries each time.
    if (n % 50 === 0) await near.maxSize((n % 100 === 0 ? 300 : 1) * 2 ** 20);
    await near.get(`k${n % 300}`);
  },
  'open and close': async () => {
    const cache = open();
    await cache.get('key');
    await cache.close();
  },
  'namespaces destroyed': async (_cache, n) => {
    const cache = open({ namespace: `leak ${n}` });
    await cache.set('key', object);
    await cache.destroy();
    await cache.close();
  },
  conflicts: async () => {
    const cache = open({ max: 5 });
    await cache.ready.catch(ignore);
    await cache.close();
  },
};

/** Paths that would leak only a hundred bytes or two per call: they run more often, so that a leak is visible. */
const TIMES = { 'open and close': 5, conflicts: 5 };

async function settle() {
  // Requests in flight are not a leak; answers arrive in the order of the requests.
  await cache.healthCheck();
  for (let pass = 0; pass < 4; pass += 1) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  return { heap: heapUsed + external + arrayBuffers, rss };
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;

const cache = open({ max: 1_000, maxEntrySize: 100_000 });
await cache.ready;
const near = open({ namespace: 'leak near', near: { max: 100 }, max: 200 });
await near.ready;
let calls = 0;
const round = async (path) => {
  for (let batch = 0; batch < CALLS; batch += 50) {
    await Promise.all(Array.from({ length: 50 }, () => path(cache, (calls += 1))));
  }
};

/** Memory gained in this many rounds. */
async function growth(path, rounds) {
  const before = await settle();
  for (let done = 0; done < rounds; done += 1) await round(path);
  const after = await settle();
  return { heap: after.heap - before.heap, rss: after.rss - before.rss };
}

const isTooMuch = ({ heap, rss }) => heap > ALLOWED_HEAP || rss > ALLOWED_RSS;

let failed = false;
for (const [name, path] of Object.entries(PATHS)) {
  const rounds = ROUNDS * (TIMES[name] ?? 1);
  // The first rounds fill caches that are meant to stay.
  for (let warm = 0; warm < Math.max(3, ROUNDS / 4); warm += 1) await round(path);
  // A leak grows with every measurement; an allocator that takes a larger step once does not.
  let gained = await growth(path, rounds);
  for (let again = 0; again < 2 && isTooMuch(gained); again += 1) gained = await growth(path, rounds);
  failed ||= isTooMuch(gained);
  console.log(
    `${isTooMuch(gained) ? 'GROWS' : 'ok   '} ${role} ${name}: heap ${megabytes(gained.heap)}, rss ${megabytes(gained.rss)}`,
  );
}
await near.close();
await cache.close();
process.exitCode = failed ? 1 : 0;
