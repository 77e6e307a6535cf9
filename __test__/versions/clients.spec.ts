import assert from 'node:assert/strict';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Agent, Agents } from '../helpers/agents.ts';
import { directoryFor } from '../helpers/directories.ts';
import { patient } from '../helpers/names.ts';
import { SAMPLES } from '../helpers/values.ts';
import { until } from '../helpers/wait.ts';
import { BEHIND_THE_SCENES, CALLS } from './calls.ts';
import { OLDER_MINOR, operationsOf, PAIRS, spawn, type Version, versions } from './packages.ts';

let agents: Agents;
test.before(async () => {
  agents = await Agents.start();
});
test.after.always(() => agents?.close());

/** A host of that build at `endpoint`. */
async function hostAt(endpoint: string, version: Version): Promise<Agent> {
  const host = await spawn(agents, version);
  await host.run(async ({ cc, state }, endpoint) => {
    state.listener = await cc.ClusteredCache.listen({ endpoint });
  }, endpoint);
  return host;
}

const ownEndpoint = (t: ExecutionContext): string => path.join(directoryFor(t), 's');

// --- what both know ------------------------------------------------------------------------------------------------

versions('the calls of this check ask for every operation that the older build knows', (t) => {
  const asked = new Set([...BEHIND_THE_SCENES, ...CALLS.flatMap(({ operations }) => operations)]);
  t.deepEqual([...asked].sort(), operationsOf('older').sort());
});

for (const [client, host] of PAIRS) {
  versions(`every operation of the older build: ${client} client, ${host} host`, async (t) => {
    t.timeout(120_000);
    const endpoint = ownEndpoint(t);
    await hostAt(endpoint, host);
    const options = { ...patient(), endpoint, failsafe: 'reject' };
    const agent = await spawn(agents, client);
    for (const { make, expected } of CALLS) {
      const answer = await agent.run(
        ({ cache, cc }, options, source) => new Function(`return (${source})`)()(cache(options), cc, options),
        options,
        make.toString(),
      );
      t.deepEqual(answer, expected, make.toString());
    }
  });
}

for (const [, host] of PAIRS) {
  versions(`clients of both builds see each other's values at one ${host} host, of every kind`, async (t) => {
    const endpoint = ownEndpoint(t);
    await hostAt(endpoint, host);
    for (const near of [false, true]) {
      const options = { ...patient(), endpoint, near, cacheNull: true };
      const [one, two] = await Promise.all(PAIRS.map(([client]) => spawn(agents, client)));
      for (const [writer, reader] of [
        [one!, two!],
        [two!, one!],
      ] as const) {
        for (const { name, make } of SAMPLES) {
          await writer.call(options, 'set', name, make());
          for (const method of ['get', 'get', 'peek']) {
            assert.deepStrictEqual(await reader.call(options, method, name), make(), `${method}: ${name}`);
          }
          t.is(await reader.call(options, 'delete', name), true);
          t.is(await writer.call(options, 'get', name), undefined);
        }
      }
      const counted = await Promise.all([one!, two!].map((agent) => count(agent, options)));
      t.is(await one!.call(options, 'get', 'n'), 1_000);
      t.is(new Set(counted.flat()).size, 1_000, 'each number once');
    }
  });
}

/** Increments a counter 500 times at once: what each call was answered. */
const count = (agent: Agent, options: object): Promise<number[]> =>
  agent.run(({ cache }, options) => Promise.all(Array.from({ length: 500 }, () => cache(options).incr('n'))), options);

// --- what only the newer one knows ---------------------------------------------------------------------------------

const UNSUPPORTED = 'ERR_CC_UNSUPPORTED';

/** Asks for much in one turn, `getAndSet` in between: the answers, and the codes of those that were rejected. */
const muchAtOnce = (client: Agent, options: object): Promise<{ known: unknown[]; newer: string[] }> =>
  client.run(async ({ cache }, options) => {
    const one = cache(options);
    await one.set('key', 'old');
    const known: Promise<unknown>[] = [];
    const newer: Promise<unknown>[] = [];
    for (let n = 1; n <= 200; n += 1) {
      known.push(one.incr('n'), one.set(`key ${n}`, n), one.has('absent'));
      newer.push(
        one.getAndSet('key', n).then(
          () => 'answered',
          (error) => error.code,
        ),
      );
      known.push(one.get(`key ${n}`));
    }
    return { known: await Promise.all(known), newer: (await Promise.all(newer)) as string[] };
  }, options);

const KNOWN = Array.from({ length: 200 }, (_, index) => [index + 1, true, false, index + 1]).flat();

/** Listens to what a client hears of its host. */
const listen = (client: Agent, options: object): Promise<void> =>
  client.run(async ({ cache, state }, options) => {
    const one = cache(options);
    state.heard = [];
    for (const name of ['degraded', 'restored', 'epoch'] as const) one.on(name, () => void state.heard.push(name));
    await one.ready;
  }, options);
const heard = (client: Agent): Promise<string[]> => client.run(({ state }) => state.heard as string[]);

versions('what an older host does not know fails alone: all else in flight is answered', async (t) => {
  const endpoint = ownEndpoint(t);
  await hostAt(endpoint, 'older');
  const options = { ...patient(), endpoint };
  const [leader, client] = [await spawn(agents, 'older'), await spawn(agents, 'newer')];
  await leader.run(({ cache, state }, options) => {
    state.leading = cache(options).fetch('led', () => new Promise((resolve) => (state.finish = resolve)));
  }, options);
  await until('a leader', async () => (await leader.call(options, 'stats')).fetches.leads === 1);
  await listen(client, options);
  await client.run(({ cache, state }, options) => {
    state.waiting = cache(options).fetch('led', () => 'not this');
  }, options);

  const { known, newer } = await muchAtOnce(client, options);
  t.deepEqual(known, KNOWN);
  t.deepEqual(new Set(newer), new Set([UNSUPPORTED]));
  t.is(await client.call(options, 'get', 'key'), 'old');

  for (const failsafe of ['resolve', 'reject']) {
    const error = await t.throwsAsync<Error & { code: string }>(
      client.call({ ...options, failsafe }, 'getAndSet', 'key', 1),
    );
    t.is(error.code, UNSUPPORTED);
    for (const part of ['`GetAndSet`', `minor version ${OLDER_MINOR + 1}`, `speaks ${OLDER_MINOR}`, 'update']) {
      t.true(error.message.includes(part), error.message);
    }
  }
  const viewed = client.run(async ({ cache, cc }, options) => {
    const view = cc.wrap(cache(options), { encode: (value: number) => String(value), decode: Number });
    return view.getAndSet('key', 1);
  }, options);
  t.is((await t.throwsAsync<Error & { code: string }>(viewed)).code, UNSUPPORTED);
  t.is((await client.call(options, 'stats')).refused, 0, 'an older host does not count them');

  await leader.run(({ state }) => state.finish('loaded'));
  t.is(await client.run(({ state }) => state.waiting), 'loaded', 'it waited all the while');
  t.deepEqual(await heard(client), [], 'the connection is the same');
});

versions('a client follows its endpoint to a newer host, and back to an older one', async (t) => {
  t.timeout(120_000);
  const endpoint = ownEndpoint(t);
  const options = { ...patient(), endpoint };
  let host = await hostAt(endpoint, 'older');
  const [client, older] = [await spawn(agents, 'newer'), await spawn(agents, 'older')];
  for (const one of [client, older]) await listen(one, options);
  for (const version of ['newer', 'older', 'newer'] as const) {
    await host.kill();
    for (const one of [client, older]) {
      await until('the loss', async () => (await heard(one)).at(-1) === 'degraded');
    }
    // Asked for while there is no host: the next one decides.
    const waiting = client.run(async ({ cache }, options) => {
      const [swapped, stored] = [cache(options).getAndSet('key', 2), cache(options).set('other', 1)];
      return [
        await swapped.then(
          (before) => ['answered', before],
          (error) => [error.code],
        ),
        await stored,
      ];
    }, options);
    host = await hostAt(endpoint, version);
    t.deepEqual(await waiting, version === 'newer' ? [['answered', undefined], true] : [[UNSUPPORTED], true]);
    for (const one of [client, older]) {
      await until('the next host', async () => (await heard(one)).at(-1) !== 'degraded');
    }
    const { known, newer } = await muchAtOnce(client, options);
    t.deepEqual(known, KNOWN, version);
    t.deepEqual(new Set(newer), new Set([version === 'newer' ? 'answered' : UNSUPPORTED]));
    t.is(await older.call(options, 'get', 'key'), version === 'newer' ? 200 : 'old');
    t.is(await older.call(options, 'incr', 'n'), 201);
  }
  t.is((await client.call(options, 'stats')).refused, 0);
  t.is(await older.call(options, 'set', 'key', 'x', { size: 2 ** 40 }), false);
  t.is((await client.call(options, 'stats')).refused, 1, 'a newer host counts what older clients try');
  t.is((await older.call(options, 'stats')).refused, undefined, 'and older ones pass over what they do not know');
});
