// Shared memory that is not available yet, was lost, or cannot be mapped: reads still work as far as possible.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ClusteredCache } from '../index.js';
import { type Agent, Agents, type SpawnOptions } from './helpers/agents.ts';
import { failsWith } from './helpers/errors.ts';
import { LONG } from './helpers/long.ts';
import { patient, unique } from './helpers/names.ts';
import { ANYHOW, SHARED } from './helpers/transport.ts';
import { event, until, within } from './helpers/wait.ts';

let agents: Agents;
let directory: string;

test.before(async () => {
  agents = await Agents.start();
  // mkdtemp makes it private to this user, as a host demands.
  directory = mkdtempSync(path.join(os.tmpdir(), 'cc-memory-'));
});
test.after.always(async () => {
  await agents?.close();
  rmSync(directory, { recursive: true, force: true });
});

const memory = SHARED ? test : test.skip;
const newEndpoint = (): string => path.join(directory, unique('s'));

/** A host at `endpoint` that holds `value` under `key` of `namespace`. */
async function hostAt(endpoint: string, namespace: string, value: unknown, options?: SpawnOptions): Promise<Agent> {
  const host = await agents.spawn('process.cjs', options);
  await host.run(
    async ({ cc, cache, state }, endpoint, namespace, value) => {
      cache({ namespace }).setSync('key', value);
      state.listener = await cc.ClusteredCache.listen({ endpoint });
    },
    endpoint,
    namespace,
    value,
  );
  return host;
}

/** A host with the value 'old', and a function that starts a client of it. */
async function setting(t: ExecutionContext) {
  const [endpoint, namespace] = [newEndpoint(), unique()];
  return {
    endpoint,
    namespace,
    host: await hostAt(endpoint, namespace, 'old'),
    open: async (options: object = {}) => {
      const cache = new ClusteredCache<string, any>({ namespace, endpoint, ...options });
      t.teardown(() => cache.close());
      await cache.ready;
      return cache;
    },
  };
}

/** The value that is read, or the code of the error. */
function readOf(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

memory('synchronous reads are refused before the namespace is open and after it is closed', async (t) => {
  const { endpoint, namespace } = await setting(t);
  const cache = new ClusteredCache<string, any>({ namespace, endpoint });
  // Only the first one is certain to be too early.
  await failsWith(t, () => cache.getSync('key'), 'ERR_CC_NO_SHARED_TABLE', /await/);
  t.is(await cache.get('key'), 'old', 'what waits is answered all the same');
  await cache.ready;
  t.deepEqual([cache.getSync('key'), cache.peekSync('key'), cache.hasSync('key')], ['old', 'old', true]);
  t.is(cache.transport, 'shared');
  await cache.close();
  await failsWith(t, () => cache.getSync('key'), 'ERR_CC_CLOSED');
});

memory('without a host, synchronous reads are refused during the grace time, and then follow failsafe', async (t) => {
  const cache = new ClusteredCache<string, any>({ namespace: unique(), endpoint: newEndpoint(), timeout: 100 });
  t.teardown(() => cache.close());
  await failsWith(t, () => cache.getSync('key'), 'ERR_CC_NO_SHARED_TABLE');
  t.is(await cache.get('key'), undefined);
  t.is(cache.getSync('key'), undefined, 'the host is known to be away');
  const strict = new ClusteredCache<string, any>({ endpoint: newEndpoint(), timeout: 100, failsafe: 'reject' });
  t.teardown(() => strict.close());
  await failsWith(t, strict.get('key'), 'ERR_CC_NO_HOST');
  await failsWith(t, () => strict.getSync('key'), 'ERR_CC_NO_HOST');
});

for (const near of [false, true]) {
  const title = near ? ', through a near cache too' : '';
  memory(`after a host is lost, the memory of the next host is read instead${title}`, async (t) => {
    for (const failsafe of ['resolve', 'reject'] as const) {
      const { endpoint, namespace, host, open } = await setting(t);
      const cache = await open({ failsafe, near });
      const seen: unknown[] = [];
      const look = () => {
        const now = readOf(() => cache.getSync('key'));
        if (now !== seen.at(-1)) seen.push(now);
        return now;
      };
      t.is(look(), 'old');
      const degraded = event(cache, 'degraded');
      await host.kill();
      await degraded;
      const lost = look();
      if (failsafe === 'resolve') {
        t.is(lost, undefined);
        t.deepEqual([cache.peekSync('key'), cache.hasSync('key')], [undefined, false]);
        t.deepEqual([await cache.get('key'), await cache.mGet(['key'])], [undefined, new Map([['key', undefined]])]);
      } else {
        t.regex(String(lost), /ERR_CC_(DISCONNECTED|NO_HOST)/);
      }
      const started = hostAt(endpoint, namespace, 'new');
      await within(
        (async () => {
          while (look() !== 'new') await turn();
        })(),
        'the new host to be read',
      );
      await started;
      t.is(await cache.get('key'), 'new');
      t.is(cache.transport, 'shared');
      // Each state occurs once, and none returns.
      if (failsafe === 'resolve') t.deepEqual(seen, ['old', undefined, 'new']);
      else {
        const [first, ...rest] = seen;
        t.is(first, 'old');
        t.is(rest.pop(), 'new');
        for (const code of rest) t.regex(String(code), /^ERR_CC_(DISCONNECTED|NO_HOST)$/);
      }
    }
  });

  memory(`hosts may be killed while other processes read in a loop${title}`, async (t) => {
    const { endpoint, namespace, host } = await setting(t);
    const readers = [await agents.spawn(), await agents.spawn()];
    let current = host;
    for (let life = 0; life < (LONG ? 100 : 4); life += 1) {
      const [before, after] = [life === 0 ? 'old' : `life ${life - 1}`, `life ${life}`];
      // A file lets a reader report from within its loop.
      const marks = readers.map(() => newEndpoint());
      // One waits for the next host, the other one gives up first.
      const reports = readers.map((reader, index) =>
        reader.run(
          async ({ cache, require }, options, after, mark) => {
            const { writeFileSync } = require('node:fs') as typeof import('node:fs');
            const target = cache(options) as any;
            await target.ready;
            const seen: unknown[] = [];
            // From here on it does not return to the event loop.
            for (const end = performance.now() + 15_000; performance.now() < end && seen.at(-1) !== after;) {
              for (let index = 0; index < 100; index += 1) {
                let now: unknown;
                try {
                  now = target.getSync('key');
                } catch (error) {
                  now = (error as { code?: string }).code;
                }
                if (now === seen.at(-1)) continue;
                seen.push(now);
                writeFileSync(`${mark} ${now === undefined ? 'misses' : 'reads'}`, '');
              }
            }
            return seen;
          },
          { namespace, endpoint, near, timeout: index === 0 ? 15_000 : 500 },
          after,
          marks[index]!,
        ),
      );
      await until('reads', () => marks.every((mark) => existsSync(`${mark} reads`)));
      await current.kill();
      await until('the impatient one to miss it', () => existsSync(`${marks[1]} misses`));
      current = await hostAt(endpoint, namespace, after);
      for (const seen of await Promise.all(reports)) {
        t.deepEqual([seen[0], seen.at(-1)], [before, after]);
        t.deepEqual(seen.slice(1, -1), seen.length > 2 ? [undefined] : []);
      }
    }
  });
}

memory('reads of a lost host are not counted by the next one', async (t) => {
  const { endpoint, namespace, host, open } = await setting(t);
  const [plain, near] = [await open({ timeout: 15_000 }), await open({ timeout: 15_000, near: true })];
  await host.freeze();
  for (let read = 0; read < 1_000; read += 1) for (const cache of [plain, near]) cache.getSync('key');
  const changed = event(plain, 'epoch');
  host.signal('SIGKILL');
  const next = await hostAt(endpoint, namespace, 'new');
  await changed;
  await plain.ready;
  t.is(await plain.get('key'), 'new');
  // All pending reports are sent before this request.
  for (const cache of [plain, near]) await cache.stats();
  const { hits, misses } = await next.call({ namespace }, 'stats');
  t.true(hits <= 1 && misses <= 1, `${hits} hits, ${misses} misses`);
});

memory('refused keys of a batch cause no unhandled rejection', async (t) => {
  const { host, open } = await setting(t);
  const cache = await open({ failsafe: 'reject', timeout: 1_000 });
  await host.freeze();
  try {
    // Reads of this key must now ask the host, which does not answer.
    const change = cache.set('key', 1);
    const reads = cache.mGet(['key', {} as never]);
    await failsWith(t, reads, 'ERR_CC_INVALID_KEY');
    await failsWith(t, change, 'ERR_CC_UNKNOWN_OUTCOME');
    await turn();
  } finally {
    host.resume();
  }
});

// --- memory that cannot be mapped ----------------------------------------------------------------------------------

/** Everything that works when memory cannot be read. */
const useWithoutMemory = async (
  { cache }: { cache(options: object): any },
  options: object,
): Promise<[transport: string, ...rest: unknown[]]> => {
  const target = cache(options);
  await target.ready;
  await target.mSet([
    ['key', 'value'],
    ['n', 1],
  ]);
  const answers = [await target.get('key'), await target.has('key'), await target.incr('n'), await target.peek('n')];
  let code: string | undefined;
  try {
    target.getSync('key');
  } catch (error) {
    code = (error as { code?: string }).code;
  }
  return [target.transport, ...answers, code];
};
const OVER_THE_SOCKET = ['socket', 'value', true, 2, 2, 'ERR_CC_NO_SHARED_TABLE'] as const;

const posix = process.platform === 'win32' ? test.skip : test;
const unlimited = SHARED ? posix : test.skip;

unlimited('a client without free descriptors reads over the socket, but other namespaces from memory', async (t) => {
  const { endpoint, namespace } = await setting(t);
  const client = await agents.spawn('process.cjs', { limit: '-n 64', env: ANYHOW });
  const reach = (name = unique()) => ({ ...patient(), endpoint, namespace: name });
  t.is(await client.call(reach(namespace), 'get', 'key'), 'old');
  await client.run(({ require, state }) => {
    const fs = require('node:fs') as typeof import('node:fs');
    state.open = [];
    try {
      for (;;) state.open.push(fs.openSync('/dev/null', 'r'));
    } catch (error) {
      if ((error as { code?: string }).code !== 'EMFILE') throw error;
    }
  });
  const poor = reach();
  t.deepEqual(await client.run(useWithoutMemory, poor), [...OVER_THE_SOCKET]);
  t.is(await client.call(reach(namespace), 'getSync', 'key'), 'old', 'what is mapped stays so');
  await client.run(({ require, state }) => {
    for (const one of state.open) require('node:fs').closeSync(one);
  });
  const [transport, value] = await client.run(useWithoutMemory, reach());
  t.deepEqual([transport, value], ['shared', 'value']);
  t.is(await client.call(poor, 'get', 'key'), 'value');
});

unlimited('a host without free descriptors serves over the socket', async (t) => {
  const [endpoint, namespace] = [newEndpoint(), unique()];
  const host = await hostAt(endpoint, namespace, 'old', { limit: '-n 64', env: ANYHOW });
  const client = await agents.spawn('process.cjs', { env: ANYHOW });
  const reach = (name = unique()) => ({ ...patient(), endpoint, namespace: name });
  t.is(await client.call(reach(namespace), 'get', 'key'), 'old');
  const transports = new Map<string, number>();
  for (let index = 0; index < 100; index += 1) {
    const [transport, value] = await client.run(useWithoutMemory, reach());
    t.is(value, 'value');
    transports.set(transport, (transports.get(transport) ?? 0) + 1);
  }
  t.true(transports.get('shared')! > 5 && transports.get('socket')! > 20, JSON.stringify([...transports]));
  t.is(await client.call(reach(namespace), 'getSync', 'key'), 'old');
  t.is(await host.call({ namespace }, 'getSync', 'key'), 'old');
});

unlimited(
  'more namespaces than descriptors leave some to the application of the host, and to new clients',
  async (t) => {
    const [endpoint, namespace] = [newEndpoint(), unique()];
    const host = await hostAt(endpoint, namespace, 'old', { limit: '-n 128', env: ANYHOW });
    const tenants = await host.run(async ({ cache, require }) => {
      for (let index = 0; index < 200; index++) await cache({ namespace: `tenant:${index}` }).set('key', index);
      require('node:fs').closeSync(require('node:fs').openSync('/dev/null'));
      return require('node:child_process').execFileSync('true').length;
    });
    t.is(tenants, 0);
    const client = await agents.spawn('process.cjs', { limit: '-n 128', env: ANYHOW });
    const transports = await client.run(
      async ({ cache }, options) => {
        const all = Array.from({ length: 200 }, (_, index) => cache({ ...options, namespace: `tenant:${index}` }));
        await Promise.all(all.map((one) => one.ready));
        const values = await Promise.all(all.map((one) => one.get('key')));
        if (!values.every((value, index) => value === index)) throw new Error(`wrong values: ${values}`);
        return all.map((one) => one.transport);
      },
      { ...patient(), endpoint },
    );
    const shared = transports.filter((transport) => transport === 'shared').length;
    t.true(shared > 20 && shared <= 64, `${shared} of ${transports.length} are shared`);
  },
);

unlimited('a host with a file size limit serves over the socket, and is not killed by SIGXFSZ', async (t) => {
  const [endpoint, namespace] = [newEndpoint(), unique()];
  const host = await hostAt(endpoint, namespace, 'old', { limit: '-f 100', env: ANYHOW });
  const client = await agents.spawn('process.cjs', { env: ANYHOW });
  const options = { ...patient(), endpoint, namespace };
  t.deepEqual(await client.run(useWithoutMemory, options), [...OVER_THE_SOCKET]);
  await client.call(options, 'set', 'large', Buffer.alloc(8_000_000, 1));
  t.is((await client.call(options, 'get', 'large')).length, 8_000_000);
  t.true(host.alive);
  const strict = await agents.spawn('process.cjs', { env: { CLUSTERED_CACHE_TRANSPORT: 'shared' } });
  await t.throwsAsync(
    strict.run(({ cache }, options) => cache(options).ready, options),
    { code: 'ERR_CC_NO_SHARED_TABLE', message: /CLUSTERED_CACHE_TRANSPORT/ },
  );
});
