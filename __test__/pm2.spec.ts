import test, { type ExecutionContext } from 'ava';
import { Agents } from './helpers/agents.ts';
import { begin, end, fill, intact, type Seen } from './helpers/load.ts';
import { patient } from './helpers/names.ts';
import { type App, type AppOptions, Pm2 } from './helpers/daemon.ts';
import { until } from './helpers/wait.ts';

const ENTRIES = 2_000;

let agents: Agents;
let pm2: Pm2;

test.before(async () => {
  agents = await Agents.start();
  pm2 = new Pm2(agents);
});
test.after.always(async () => {
  await pm2?.close();
  await agents?.close();
});

async function start(t: ExecutionContext, options: AppOptions): Promise<App> {
  const app = await pm2.start(options);
  t.teardown(() => app.delete());
  return app;
}

/** Asserts that no instance noticed anything. */
function undisturbed(t: ExecutionContext, seen: Seen): void {
  t.deepEqual(seen.errors, []);
  t.is(seen.misses, 0);
  t.is(seen.wrong, 0);
  t.true(seen.operations > 0);
}

test.serial('all instances of an application share one cache, and count without loss', async (t) => {
  const app = await start(t, { instances: 4 });
  const options = patient();
  await app.instances[0]!.call(options, 'set', 'key', { from: 0 });
  for (const instance of app.instances) t.deepEqual(await instance.call(options, 'get', 'key'), { from: 0 });
  await Promise.all(
    app.instances.map((instance) =>
      instance.run(async ({ cache }, options) => {
        for (let i = 0; i < 100; i++) await cache(options).incr('count');
      }, options),
    ),
  );
  t.is(await app.instances[3]!.call(options, 'get', 'count'), 400);
});

test.serial('a reload under load keeps every entry, and no operation fails', async (t) => {
  const app = await start(t, { instances: 4 });
  const options = patient();
  await fill(app.instances[0]!, options, ENTRIES);
  const before = app.instances;
  await Promise.all(before.map((instance) => begin(instance, options, ENTRIES, 4, 2)));
  await app.reload();
  const after = await app.settled(4, before);
  t.is(await intact(after[0]!, options, ENTRIES), ENTRIES);
  // The instances started by the reload see the next one.
  await Promise.all(after.map((instance) => begin(instance, options, ENTRIES, 4, 2)));
  const watched = after.slice(2);
  await app.scale(6);
  for (const instance of watched) undisturbed(t, await end(instance));
});

test.serial('a release with another ttl is deployed under load: content, counters and answers stay', async (t) => {
  const app = await start(t, { instances: 2 });
  const { namespace, ...rest } = patient();
  const [old, released] = [600_000, 900_000].map((ttl) => ({ ...rest, namespace, ttl }));
  const before = app.instances;
  await fill(before[0]!, old!, ENTRIES);
  await before[0]!.call(old!, 'incr', 'total', 41);
  await Promise.all(before.map((instance) => begin(instance, old!, ENTRIES, 4, 2)));

  // Both releases run at the same time.
  await app.scale(4);
  const young = (await app.settled(4)).filter((instance) => !before.includes(instance));
  await Promise.all(young.map((instance) => begin(instance, released!, ENTRIES, 4, 2)));
  for (const instance of young) t.is(await instance.call(released!, 'ttl'), 900_000);
  for (const instance of before) t.is(await instance.call(old!, 'ttl'), 900_000);
  for (const instance of before) undisturbed(t, await end(instance));

  await app.reload();
  const after = await app.settled(4, [...before, ...young]);
  t.is(await intact(after[0]!, released!, ENTRIES), ENTRIES);
  for (const instance of after) t.is(await instance.call(released!, 'ttl'), 900_000);
  t.is(await after[3]!.call(released!, 'incr', 'total'), 42);
});

test.serial('added instances share the cache, and its content outlives the oldest instances', async (t) => {
  const app = await start(t, { instances: 2 });
  const options = patient();
  await fill(app.instances[0]!, options, ENTRIES);
  const old = app.instances;
  await app.scale(4);
  const all = await app.settled(4);
  const young = all.filter((instance) => !old.includes(instance));
  t.is(await intact(young[1]!, options, ENTRIES), ENTRIES);
  await Promise.all(young.map((instance) => begin(instance, options, ENTRIES, 4, 2)));
  await app.scale(2);
  await app.settled(2, old);
  for (const instance of young) undisturbed(t, await end(instance));
  t.is(await intact(young[0]!, options, ENTRIES), ENTRIES);
});

test.serial('when an instance is killed, the others continue and its replacement joins them', async (t) => {
  const app = await start(t, { instances: 3 });
  const options = patient();
  for (const victim of app.instances) {
    await victim.kill();
    const all = await app.settled(3, [victim]);
    await until('a host', () =>
      all[0]!.call(options, 'set', 'key', victim.pid).then(
        (stored) => stored,
        () => false,
      ),
    );
    for (const instance of all) t.is(await instance.call(options, 'get', 'key'), victim.pid);
  }
});

test.serial('two applications of one daemon do not share a cache', async (t) => {
  const [one, other] = [await start(t, { instances: 2 }), await start(t, { instances: 2 })];
  const options = patient();
  await one!.instances[0]!.call(options, 'set', 'key', 1);
  await other!.instances[0]!.call(options, 'set', 'key', 2);
  for (const instance of one!.instances) t.is(await instance.call(options, 'get', 'key'), 1);
  for (const instance of other!.instances) t.is(await instance.call(options, 'get', 'key'), 2);
});
