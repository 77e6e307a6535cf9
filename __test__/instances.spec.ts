import test from 'ava';
import { ClusteredCache } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { patient, unique } from './helpers/names.ts';
import { type Role, ROLES, rolesOf } from './helpers/roles.ts';
import { script, startScript } from './helpers/scripts.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);

let host: Awaited<ReturnType<typeof ClusteredCache.listen>>;

test.before(async () => {
  host = await ClusteredCache.listen();
});
test.after.always(() => host.close());

/** What the programs below share. */
const PRELUDE = `
  const { ClusteredCache } = cc;
  require('node:v8').setFlagsFromString('--expose-gc');
  const gc = require('node:vm').runInNewContext('gc');
  const namespace = process.env.NAMESPACE;
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  /** Collects until the condition holds. */
  const collectUntil = async (isTrue) => {
    for (let round = 0; round < 200; round++) {
      gc();
      await turn();
      if (isTrue()) return true;
      // What was looked at is kept until the end of its turn.
      await turn();
    }
    return false;
  };
  const warnings = [];
  process.on('warning', ({ code }) => warnings.push(code));
`;

/** Runs a program that can collect, as the host or as a client of this process. Returns what it prints. */
async function run(role: Role, namespace: string, source: string): Promise<unknown> {
  const env = { NAMESPACE: namespace, ...(role === 'client' && { CLUSTERED_CACHE_ENDPOINT: host.endpoint }) };
  const program = `${PRELUDE} (async () => { ${source} })().then((result) => console.log(JSON.stringify(result)));`;
  const { code, stdout, stderr } = await script(program, { env, ms: 50_000 });
  if (code !== 0) throw new Error(`the program ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

for (const role of ROLES) {
  test(`${role}: an instance per request that is dropped without close() is collected`, async (t) => {
    const result = await run(
      role,
      unique(),
      `
      const dropped = [];
      const request = async (index) => {
        const cache = new ClusteredCache({ namespace: namespace + (index % 15), ttl: 1_000 + (index % 5) });
        await cache.ready;
        await cache.set('key', index);
        dropped.push(new WeakRef(cache));
      };
      for (let index = 0; index < 300; index++) await request(index);
      return collectUntil(() => dropped.every((one) => one.deref() === undefined));
    `,
    );
    t.true(result);
  });

  test(`${role}: an instance with a near cache that is dropped is collected`, async (t) => {
    const result = await run(
      role,
      unique(),
      `
      const open = async () => {
        const cache = new ClusteredCache({ namespace, near: true });
        await cache.set('key', { a: 1 });
        await cache.get('key');
        await cache.get('key');
        return new WeakRef(cache);
      };
      const dropped = await open();
      return collectUntil(() => dropped.deref() === undefined);
    `,
    );
    t.true(result);
  });

  test(`${role}: an instance is not collected while a request of it waits`, async (t) => {
    const result = await run(
      role,
      unique(),
      `
      const waiter = new ClusteredCache({ namespace });
      await waiter.ready;
      let end;
      // Only the promise is kept.
      const led = (() => {
        const cache = new ClusteredCache({ namespace });
        return cache.fetch('key', () => new Promise((resolve) => (end = resolve)));
      })();
      const waited = waiter.fetch('key', () => 'loaded twice');
      while (!end) await turn();
      for (let round = 0; round < 20; round++) { gc(); await turn(); }
      end('loaded once');
      return Promise.all([led, waited]);
    `,
    );
    t.deepEqual(result, ['loaded once', 'loaded once']);
  });

  test(`${role}: an instance with listeners stays open until they are removed`, async (t) => {
    const result = await run(
      role,
      unique(),
      `
      const listener = () => {};
      const kept = (() => new WeakRef(new ClusteredCache({ namespace }).on('epoch', listener)))();
      await kept.deref().ready;
      for (let round = 0; round < 20; round++) { gc(); await turn(); }
      const isKept = kept.deref() !== undefined;
      (() => kept.deref()?.off('epoch', listener))();
      return [isKept, await collectUntil(() => kept.deref() === undefined)];
    `,
    );
    t.deepEqual(result, [true, true]);
  });

  test(`${role}: opening and closing the only instance leaves nothing behind`, async (t) => {
    const grown = await run(
      role,
      unique(),
      `
      const round = async () => {
        const cache = new ClusteredCache({ namespace });
        await cache.get('key');
        await cache.close();
      };
      const used = async () => {
        for (let pass = 0; pass < 3; pass++) { gc(); await turn(); }
        const { heapUsed, external } = process.memoryUsage();
        return (heapUsed + external) / 2 ** 20;
      };
      for (let index = 0; index < 20; index++) await round();
      const before = await used();
      for (let index = 0; index < 150; index++) await round();
      return (await used()) - before;
    `,
    );
    t.true((grown as number) < 5, `${String(grown)} MiB stay of 150 rounds`);
  });

  test(`${role}: more than 1,000 open instances are warned of, once`, async (t) => {
    const result = await run(
      role,
      unique(),
      `
      const kept = [];
      const open = (count) => {
        for (let index = 0; index < count; index++) kept.push(new ClusteredCache({ namespace }));
      };
      open(1_000);
      await turn();
      const upTo = warnings.length;
      open(1_000);
      await turn();
      return [upTo, warnings, await kept[1_999].get('key') ?? null];
    `,
    );
    t.deepEqual(result, [0, ['CC_MANY_INSTANCES'], null]);
  });

  test(`${role}: instances that are closed or collected are not warned of`, async (t) => {
    const result = await run(
      role,
      unique(),
      `
      await Promise.all(Array.from({ length: 700 }, () => new ClusteredCache({ namespace }).close()));
      let last;
      const open = () => {
        for (let index = 0; index < 700; index++) last = new WeakRef(new ClusteredCache({ namespace }));
      };
      open();
      await new ClusteredCache({ namespace }).ready;
      if (!(await collectUntil(() => last.deref() === undefined))) return 'not collected';
      await turn();
      open();
      await turn();
      return warnings;
    `,
    );
    t.deepEqual(result, []);
  });

  test(`${role}: a process ends by itself while instances are open, and after they were dropped`, async (t) => {
    const result = await run(
      role,
      unique(),
      `
      globalThis.kept = new ClusteredCache({ namespace }).on('degraded', () => {});
      await new ClusteredCache({ namespace, ttl: 5 }).ready;
      gc();
      await turn();
      return 'ended';
    `,
    );
    t.is(result, 'ended');
  });
}

test('the connection of a client ends when its dropped instances are collected', async (t) => {
  const cache = new ClusteredCache(patient());
  t.teardown(() => cache.close());
  const before = (await cache.stats()).clients;
  const client = startScript(
    `${PRELUDE}
    (async () => {
      await (async () => void (await new ClusteredCache({ namespace }).set('key', 1)))();
      console.log('used');
      const timer = setInterval(gc, 10);
      process.stdin.once('data', () => { clearInterval(timer); process.stdin.destroy(); });
    })();`,
    { env: { NAMESPACE: cache.namespace, CLUSTERED_CACHE_ENDPOINT: host.endpoint } },
  );
  await client.said('used');
  await until('the end of the connection', async () => (await cache.stats()).clients === before);
  client.say('end');
  t.like(await client.outcome, { code: 0, stderr: '' });
});

each('an instance that this process has opened before answers getSync at once', async (t, { role, open, options }) => {
  const first = await open();
  if (role === 'client' && first.transport !== 'shared') return void t.pass('there is nothing to read from at once');
  await first.set('key', 'value');
  for (const given of [{}, { ttl: 60_000 }, { near: true }]) {
    const second = new ClusteredCache<string, string>(options({ namespace: first.namespace, ...given }));
    t.teardown(() => second.close());
    t.is(second.getSync('key'), 'value', JSON.stringify(given));
    await second.ready;
    t.is(second.getSync('key'), 'value');
  }
});

each('instances with the same options are independent of each other', async (t, { open, options }) => {
  const first = await open({ ttl: 5_000 });
  const second = await open({ namespace: first.namespace, ttl: 5_000, near: true });
  const third = new ClusteredCache<string, number>(
    options({ namespace: first.namespace, ttl: 5_000, failsafe: 'reject' }),
  );
  await third.set('key', 1);
  await Promise.all([first.close(), third.close()]);
  await failsWith(t, third.get('key'), 'ERR_CC_CLOSED');
  t.is(await second.get('key'), 1);
  await second.close();
  const again = await open({ namespace: first.namespace, ttl: 5_000 });
  t.is(await again.get('key'), 1);
});

each('a refused instance does not stand in the way of the next one', async (t, { open, options }) => {
  const first = await open({ max: 10 });
  const { namespace } = first;
  const refused = new ClusteredCache<string, number>(options({ namespace, max: 20 }));
  t.teardown(() => refused.close());
  await failsWith(t, refused.ready, 'ERR_CC_OPTIONS_CONFLICT');
  await first.close();
  const next = new ClusteredCache<string, number>(options({ namespace, max: 20 }));
  t.teardown(() => next.close());
  await t.notThrowsAsync(next.ready);
  t.is(await next.max(), 20);
});

each('requests under way are answered before close() resolves', async (t, { open }) => {
  const stays = await open();
  const leaves = await open({ namespace: stays.namespace });
  const answered: unknown[] = [];
  for (let index = 0; index < 100; index++) void leaves.set(index, index).then((value) => answered.push(value));
  await leaves.close();
  t.is(answered.length, 100);
  t.is(await stays.size(), 100);
});

// --- getAllCaches ----------------------------------------------------------------------------------------------------

test('getAllCaches returns the same caches at each call, and costs nothing that stays', async (t) => {
  const result = await run(
    'host',
    unique(),
    `
    const opened = [];
    for (let index = 0; index < 200; index++) opened.push(new ClusteredCache({ namespace: namespace + index, max: 5 }));
    const first = ClusteredCache.getAllCaches();
    const second = ClusteredCache.getAllCaches();
    const areSame = [...first].every(([name, cache]) => second.get(name) === cache && name.startsWith(namespace));
    const areOwn = opened.some((cache) => first.get(cache.namespace) === cache);
    for (let call = 0; call < 500; call++) {
      for (const cache of ClusteredCache.getAllCaches().values()) await cache.ready;
      if (call % 100 === 0) { gc(); await turn(); }
    }
    const late = await new ClusteredCache({ namespace: 'late' }).set('key', 1);
    return [first.size, areSame, areOwn, late, warnings];
  `,
  );
  t.deepEqual(result, [200, true, false, true, []]);
});

test('a cache of getAllCaches that was closed is replaced at the next call', async (t) => {
  const cache = new ClusteredCache<string, number>({ namespace: unique() });
  t.teardown(() => cache.close());
  const first = ClusteredCache.getAllCaches().get(cache.namespace)!;
  await first.close();
  await cache.set('key', 1);
  t.is(await ClusteredCache.getAllCaches().get(cache.namespace)!.get('key'), 1);
  t.is(await cache.get('key'), 1);
});

test('getAllCaches shows the namespaces of a host with a path', async (t) => {
  const result = await run(
    'host',
    unique(),
    `
    const { mkdtempSync, rmSync } = require('node:fs');
    const directory = mkdtempSync(require('node:os').tmpdir() + '/cc-path-');
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
    process.env.CLUSTERED_CACHE_ENDPOINT = directory + '/s';
    const cache = new ClusteredCache({ namespace, role: 'host' });
    await cache.set('key', 1);
    const all = ClusteredCache.getAllCaches();
    return [[...all.keys()].join() === namespace, await all.get(namespace).get('key'), all.get(namespace).role];
  `,
  );
  t.deepEqual(result, [true, 1, 'host']);
});

test('getAllCaches is refused in a client by path, opened or not', async (t) => {
  const refused = `
    const attempt = () => { try { return ClusteredCache.getAllCaches().size; } catch (error) { return error.code; } };
  `;
  const result = await run(
    'client',
    unique(),
    `${refused} const before = attempt(); await new ClusteredCache({ namespace }).set('key', 1); return [before, attempt()];`,
  );
  t.deepEqual(result, ['ERR_CC_NOT_HOST', 'ERR_CC_NOT_HOST']);
  const byOption = await run(
    'host',
    unique(),
    `${refused} globalThis.kept = new ClusteredCache({ namespace, endpoint: ${JSON.stringify(host.endpoint)} }); return attempt();`,
  );
  t.is(byOption, 'ERR_CC_NOT_HOST');
});
