// Instances of an app start, end gracefully, are killed and are stopped, in random order and also while another of
// these is under way, while each of them checks every answer it gets: see fixtures/witness.cjs.

import path from 'node:path';
import test from 'ava';
import { type Agent, Agents } from './helpers/agents.ts';
import { keep } from './helpers/figures.ts';
import { LONG } from './helpers/long.ts';
import { unique } from './helpers/names.ts';
import { Pm2 } from './helpers/pm2.ts';
import { Random } from './helpers/random.ts';
import { until, within } from './helpers/wait.ts';

const linux = process.platform === 'linux' ? test.serial : test.serial.skip;

const EVENTS = Number(process.env.CC_TEST_EVENTS ?? (LONG ? 1_000 : 15));
/** A failure prints the seed; CC_TEST_SEED chooses the same events again, though not with the same timing. */
const SEED = Number(process.env.CC_TEST_SEED ?? Date.now() % 2 ** 31);
const TIMEOUT = 1_000;
/**
 * The number of instances: after each event there are at least this many, and up to two more; never more than the
 * maximum.
 */
const [FEWEST, MOST] = [2, 6];

interface Seen {
  operations: number;
  failed: number;
  slowest: number;
  counted: [epoch: string, number: number][];
  violations: string[];
  gone: string[];
}

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

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** An app whose instances check the cache. */
class Watched {
  readonly total = { operations: 0, failed: 0, 'longest operation, ms': 0 };
  readonly violations: string[] = [];
  readonly #random: Random;
  readonly #name = unique('app');
  readonly options: object;
  readonly #counted = new Map<string, Set<number>>();
  instances: Agent[] = [];

  constructor(random: Random, options: object) {
    this.#random = random;
    this.options = { namespace: unique(), timeout: TIMEOUT, failsafe: 'reject', handoverTimeout: 5_000, ...options };
  }

  async join(): Promise<Agent> {
    const instance = await pm2.start(agents, this.#name);
    await instance.run(async ({ cache, require, state }, options) => {
      // Whether it joins in time on a busy machine is not tested.
      await cache({ ...options, timeout: 15_000 }).ready;
      state.witness = require('./witness.cjs').start(cache(options), cache({ ...options, near: true }));
    }, this.options);
    this.instances.push(instance);
    return instance;
  }

  host = (): Promise<Agent> => pm2.hostAmong(this.instances);

  /** Waits until all remaining instances agree on one host, and collects what they saw. */
  async settle(): Promise<void> {
    this.instances = this.instances.filter(({ alive }) => alive);
    for (const wanted = FEWEST + this.#random.below(3); this.instances.length < wanted;) await this.join();
    await until('one epoch', async () => {
      const epochs = this.instances.map((instance) =>
        instance.call(this.options, 'stats').then(
          ({ epoch }) => String(epoch),
          () => undefined,
        ),
      );
      const [first, ...others] = await Promise.all(epochs);
      return first !== undefined && others.every((other) => other === first);
    });
    const peers = this.instances.map(({ pid }) => pid);
    const all = await Promise.all(
      this.instances.map((instance) =>
        instance.run(({ state }, peers) => {
          state.witness.meet(peers);
          return state.witness.take() as Seen;
        }, peers),
      ),
    );
    all.forEach((seen) => this.#add(seen));
    await this.#lookFor(all.flatMap(({ gone }) => gone));
  }

  async end(): Promise<void> {
    for (const instance of this.instances) {
      this.#add(await instance.run(({ state }) => state.witness.stop() as Promise<Seen>));
    }
  }

  #add({ operations, failed, slowest, counted, violations }: Seen): void {
    this.total.operations += operations;
    this.total.failed += failed;
    this.total['longest operation, ms'] = Math.max(this.total['longest operation, ms'], slowest);
    this.violations.push(...violations);
    for (const [epoch, number] of counted) {
      const numbers = this.#counted.get(epoch) ?? new Set();
      if (numbers.has(number)) this.violations.push(`${number} was counted twice in epoch ${epoch}`);
      this.#counted.set(epoch, numbers.add(number));
    }
  }

  /** Asserts that deleted entries are gone for all instances. */
  async #lookFor(keys: string[]): Promise<void> {
    for (const instance of this.instances) {
      const found = (await instance.call({ ...this.options, timeout: 15_000 }, 'mGet', keys)) as Map<string, unknown>;
      for (const [key, value] of found) {
        if (value !== undefined) this.violations.push(`${key} was deleted and is back in process ${instance.pid}`);
      }
    }
  }
}

const ENDS = ['SIGINT', 'SIGTERM', 'exit'] as const;

/** Tells an instance to end gracefully. */
function tellToEnd(instance: Agent, random: Random): void {
  const how = random.pick(ENDS);
  if (how !== 'exit') return instance.signal(how);
  instance.run(() => void setImmediate(() => process.exit(0))).catch(() => {});
}

const ended = (instance: Agent) => within(instance.gone, `end of process ${instance.pid}`);

/** The events. Each returns when the instances that end have ended and no instance is stopped. */
const EVENTS_BY_NAME: Record<string, (app: Watched, random: Random) => Promise<unknown>> = {
  'one joins': async (app) => app.instances.length < MOST && app.join(),
  'one ends': async (app, random) => {
    const victim = random.pick(app.instances);
    tellToEnd(victim, random);
    await ended(victim);
  },
  'the host ends': async (app, random) => {
    const host = await app.host();
    tellToEnd(host, random);
    await ended(host);
  },
  'one is killed': (app, random) => random.pick(app.instances).kill(),
  'the host is killed': async (app) => (await app.host()).kill(),
  'the host ends and is killed meanwhile': async (app, random) => {
    const host = await app.host();
    tellToEnd(host, random);
    await pause(random.below(15));
    await host.kill();
  },
  'the host ends and its successor is killed': async (app, random) => {
    const successor = await app.join();
    const host = await app.host();
    tellToEnd(host, random);
    await pause(random.below(15));
    await successor.kill();
    await ended(host);
  },
  'the host ends and its successor is stopped': async (app, random) => {
    const successor = await app.join();
    const host = await app.host();
    tellToEnd(host, random);
    await pause(random.below(15));
    await stopFor(successor, random.below(1_500));
    await ended(host);
  },
  'the host is stopped': async (app, random) => stopFor(await app.host(), random.below(2_500)),
  'the host is stopped, and another one is killed': async (app, random) => {
    const host = await app.host();
    const other = random.pick(app.instances);
    await Promise.all([stopFor(host, random.below(1_500)), pause(random.below(500)).then(() => other.kill())]);
  },
  'the host is told to end while it is stopped': async (app, random) => {
    const host = await app.host();
    await Promise.all([
      stopFor(host, random.below(1_500)),
      pause(random.below(100)).then(() => tellToEnd(host, random)),
    ]);
    await ended(host);
  },
  'all are replaced at once': async (app, random) => {
    const old = [...app.instances];
    await app.join();
    for (const instance of old) tellToEnd(instance, random);
    await Promise.all(old.map(ended));
  },
  'all end, and others come': endAll,
  'all are replaced one after the other': async (app, random) => {
    for (const old of [...app.instances]) {
      await app.join();
      tellToEnd(old, random);
      await ended(old);
    }
  },
};

/** Ends all instances gracefully, so that the next test finds no host to take over from. */
async function endAll(app: Watched, random: Random): Promise<void> {
  for (const instance of app.instances) tellToEnd(instance, random);
  await Promise.all(app.instances.map(ended));
}

async function stopFor(instance: Agent, ms: number): Promise<void> {
  if (!instance.alive) return;
  instance.signal('SIGSTOP');
  await pause(ms);
  if (instance.alive) instance.resume();
}

for (const [title, options] of [
  ['', () => ({})],
  [', with a snapshot', () => ({ persist: { path: path.join(pm2.home, 'snapshot') } })],
] as const) {
  linux(`whatever happens to the instances, no instance gets a wrong answer${title}`, async (t) => {
    t.timeout(60_000 + EVENTS * 10_000);
    t.log(`seed ${SEED}`);
    const random = new Random(SEED);
    const app = new Watched(random, options());
    await app.settle();
    for (let event = 0; event < EVENTS; event += 1) {
      const name = random.pick(Object.keys(EVENTS_BY_NAME));
      const came = async () => {
        await EVENTS_BY_NAME[name]!(app, random);
        await app.settle();
      };
      await t.notThrowsAsync(came, `event ${event} of seed ${SEED}: ${name}`);
      t.deepEqual(app.violations.slice(0, 10), [], `event ${event} of seed ${SEED}: ${name}`);
    }
    await app.end();
    t.deepEqual(app.violations, []);
    const longest = app.total['longest operation, ms'];
    t.true(longest < TIMEOUT + 1_000, `an operation took ${longest} ms`);
    keep(t, `instances come and go by chance${title}`, { events: EVENTS, wrong: app.violations.length, ...app.total });
  });
}

linux('an instance that reads copies that are never invalidated is detected', async (t) => {
  const app = new Watched(new Random(SEED), {});
  const instance = await app.join();
  await instance.run(({ cache, require, state }, options) => {
    const [own, copies] = [cache(options), new Map<string, unknown>()];
    const get = async (key: string) => {
      if (!copies.has(key)) copies.set(key, await own.get(key));
      return copies.get(key);
    };
    state.witness = require('./witness.cjs').start(own, { get });
  }, app.options);
  await until('a violation', async () => {
    await app.settle();
    return app.violations.length > 0;
  });
  await app.end();
  t.regex(app.violations[0]!, /register:\S+ was \d+ and is \d+/);
});
