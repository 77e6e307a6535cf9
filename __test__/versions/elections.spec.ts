import test from 'ava';
import { type Agent, Agents } from '../helpers/agents.ts';
import { begin, end, fill, intact } from '../helpers/load.ts';
import { patient, unique } from '../helpers/names.ts';
import { Pm2 } from '../helpers/pm2.ts';
import { until, within } from '../helpers/wait.ts';
import { elections, loading, PAIRS, type Version } from './packages.ts';

let agents: Agents;
let pm2: Pm2;
test.before(async () => {
  agents = await Agents.start();
  pm2 = new Pm2();
});
test.after.always(async () => {
  await agents?.close();
  pm2?.remove();
});

const COUNT = 10_000;
const unhurried = () => ({ ...patient(), handoverTimeout: 10_000 });

/** An app whose instances are of two builds, and end one after the other: the one that came last hosts next. */
class App {
  readonly options: object;
  readonly #name = unique('app');

  constructor(options: object = unhurried()) {
    this.options = options;
  }

  /** One more instance, which takes part in the election. */
  async start(version: Version): Promise<Agent> {
    const instance = await pm2.start(agents, this.#name, loading(version));
    await instance.call(this.options, 'has', 'key');
    return instance;
  }

  /** Ends the host in order; `heir` hosts then. */
  async handOver(host: Agent, heir: Agent, others: readonly Agent[]): Promise<void> {
    host.signal('SIGTERM');
    await within(host.gone, 'end of the host');
    const next = await pm2.hostAmong([heir, ...others]);
    if (next !== heir) throw new Error('another instance hosts than the one that came last');
  }
}

/** What the host has counted, but for what differs from host to host. */
const counters = async (agent: Agent, options: object): Promise<object> => {
  const { clients: _clients, uptime: _uptime, refused: _refused, ...counted } = await agent.call(options, 'stats');
  return counted;
};

for (const [from, to] of PAIRS) {
  elections(`a handover from ${from} to ${to} keeps entries, counters, times to live and order`, async (t) => {
    const app = new App();
    const { options } = app;
    const tuned = { ...unhurried(), max: 50, allowStale: true, updateAgeOnGet: true };
    const host = await app.start(from);
    const clients = [await app.start(from), await app.start(to)] as const;
    const [one, two] = clients;
    await fill(one, options, COUNT);
    await one.call(options, 'mSet', [
      ['an hour', 1, { ttl: 3_600_000 }],
      ['sized', new Map([[1, Buffer.from('bytes')]]), { size: 77 }],
    ]);
    await two.call(options, 'set', 'two hours', 1, { expiresAt: Date.now() + 7_200_000 });
    await two.call(options, 'count', 'window', 5, { ttl: 3_600_000, max: 9 });
    await two.call(options, 'set', 'key', 'x', { size: 2 ** 40 });
    await two.call(options, 'mDelete', ['entry:1', 'entry:2']);
    for (let n = 0; n < 60; n += 1) await two.call(tuned, 'set', `key ${n}`, n);
    await two.call(tuned, 'max', 40);
    const heir = await app.start(to);
    const see = async (agent: Agent) => ({
      keys: await agent.call(options, 'keys'),
      counters: [await counters(agent, options), await counters(agent, tuned)],
      tuned: [
        await agent.call(tuned, 'entries'),
        await agent.call(tuned, 'max'),
        await agent.call(tuned, 'allowStale'),
      ],
      sized: [await agent.call(options, 'peek', 'sized'), (await agent.call(options, 'info', 'sized')).size],
    });
    const before = await see(one);

    await app.handOver(host, heir, clients);
    for (const agent of [...clients, heir]) t.deepEqual(await see(agent), before);
    t.is(await intact(two, options, COUNT), COUNT - 2);
    for (const [key, hours] of [
      ['an hour', 1],
      ['two hours', 2],
      ['window', 1],
    ] as const) {
      const left = await two.call(options, 'getRemainingTTL', key);
      t.true(left > (hours - 0.5) * 3_600_000 && left <= hours * 3_600_000, `${key}: ${left}`);
    }
    t.is(await one.call(options, 'incr', 'window', 1, { max: 9 }), 6);
    const newest = from === 'newer' ? one : two;
    const swap = newest.call(options, 'getAndSet', 'an hour', 2);
    t.is(await swap.catch(({ code }) => code), to === 'newer' ? 1 : 'ERR_CC_UNSUPPORTED');
  });

  elections(`a handover from ${from} to ${to} keeps leases, waits and iterations that are under way`, async (t) => {
    const app = new App();
    const { options } = app;
    const host = await app.start(from);
    const clients = [await app.start(from), await app.start(to)] as const;
    const heir = await app.start(to);
    await fill(clients[0], options, COUNT);
    const all = await clients[0].call(options, 'keys');
    const stats = () => clients[0].call(options, 'stats');
    // Each leads what the other waits for.
    for (const [index, leader] of clients.entries()) {
      await leader.run(
        ({ cache, state }, options, index) => {
          state.leading = cache(options).fetch(
            `led ${index}`,
            () => new Promise((resolve) => (state.finish = resolve)),
          );
        },
        options,
        index,
      );
    }
    await until('both leaders', async () => (await stats()).fetches.leads === 2);
    for (const [index, waiter] of [...clients].reverse().entries()) {
      await waiter.run(
        ({ cache, state }, options, index) => {
          state.waiting = cache(options).fetch(`led ${index}`, () => 'not this');
        },
        options,
        index,
      );
    }
    await until('both waits', async () => (await stats()).fetches.waits === 2);
    for (const client of clients) {
      await client.run(async ({ cache, state }, options) => {
        state.iterator = cache(options)[Symbol.asyncIterator]();
        state.seen = [];
        while (state.seen.length < 2_500) state.seen.push((await state.iterator.next()).value[0]);
      }, options);
    }

    await app.handOver(host, heir, clients);
    for (const client of clients) {
      const seen = await client.run(async ({ state }) => {
        for await (const [key] of state.iterator) state.seen.push(key);
        return state.seen as string[];
      });
      t.deepEqual(seen, all, 'every entry once');
    }
    for (const leader of clients) await leader.run(({ state }) => state.finish('loaded'));
    for (const client of clients) {
      const loaded = await client.run(({ state }) => Promise.all([state.leading, state.waiting]));
      t.deepEqual(loaded, ['loaded', 'loaded']);
    }
    t.is((await stats()).fetches.leads, 2);
  });
}

/** Swaps a value all the time, whichever build hosts; until `state.swaps.end()` tells what became of it. */
const beginSwaps = (client: Agent, options: object): Promise<void> =>
  client.run(({ cache, state }, options) => {
    const seen = { swapped: 0, wrong: 0, codes: new Set<string>() };
    const work = { goesOn: true };
    const run = async () => {
      for (let last: number | undefined; work.goesOn;) {
        const next = (last ?? 0) + 1;
        try {
          if ((await cache(options).getAndSet('swapped', next)) !== last) seen.wrong += 1;
          last = next;
          seen.swapped += 1;
        } catch (error) {
          seen.codes.add((error as { code: string }).code);
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      return seen;
    };
    const running = run();
    state.swaps = { end: () => ((work.goesOn = false), running) };
  }, options);

elections('an app that is updated and set back under load loses nothing: every request is done once', async (t) => {
  t.timeout(180_000);
  const app = new App({ ...unhurried(), failsafe: 'reject' });
  const { options } = app;
  let host = await app.start('older');
  const clients = [await app.start('older'), await app.start('newer')] as const;
  await fill(host, options, COUNT);
  for (const client of clients) {
    await client.run(({ cache, state }, options) => {
      state.heard = [];
      for (const name of ['degraded', 'restored', 'epoch'] as const) {
        cache(options).on(name, () => void state.heard.push(name));
      }
    }, options);
    await begin(client, options, COUNT);
  }
  await beginSwaps(clients[1], options);
  for (const version of ['newer', 'older', 'newer', 'newer', 'older', 'older', 'newer'] as const) {
    const heir = await app.start(version);
    await app.handOver(host, heir, clients);
    host = heir;
    t.is(await intact(host, options, COUNT), COUNT, version);
  }
  const swaps = await clients[1].run(({ state }) => state.swaps.end());
  t.true(swaps.swapped > 0);
  t.is(swaps.wrong, 0, 'each was done once, or refused');
  t.deepEqual([...swaps.codes], ['ERR_CC_UNSUPPORTED']);
  let counted = 0;
  for (const client of clients) {
    const { operations, misses, wrong, errors, counted: own } = await end(client);
    t.deepEqual({ misses, wrong, errors }, { misses: 0, wrong: 0, errors: [] });
    t.true(operations > 0);
    counted += own;
    t.deepEqual(await client.run(({ state }) => state.heard), []);
  }
  t.is(await host.call(options, 'get', 'count'), counted, 'every acknowledged increment, once');
  t.is(await clients[1].call(options, 'getAndSet', 'count', 0), counted, 'the last host is a newer one');
});

elections('a standby of either build takes the place of a host that was killed', async (t) => {
  for (const [from, to] of PAIRS) {
    const app = new App();
    const host = await app.start(from);
    const heir = await app.start(to);
    await heir.call(app.options, 'set', 'key', 1);
    await host.kill();
    t.is(await pm2.hostAmong([heir]), heir);
    await until('an empty host', async () => (await heir.call(app.options, 'get', 'key')) === undefined);
    t.is(await heir.call(app.options, 'set', 'key', 2), true);
  }
});
