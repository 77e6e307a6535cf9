// Measures what users of an application notice when its host ends; many times over in the long form.

import test, { type ExecutionContext } from 'ava';
import { type Agent, Agents } from './helpers/agents.ts';
import { type App, type AppOptions, Pm2 as Daemon } from './helpers/daemon.ts';
import { type Figures, keep, quantile } from './helpers/figures.ts';
import { begin, fill, intact, now, type Seen, untilEnded } from './helpers/load.ts';
import { LONG } from './helpers/long.ts';
import { patient, unique } from './helpers/names.ts';
import { Pm2 } from './helpers/pm2.ts';
import { until } from './helpers/wait.ts';

const linux = process.platform === 'linux' ? test.serial : test.serial.skip;

let agents: Agents;
let daemon: Daemon;

test.before(async () => {
  agents = await Agents.start();
  daemon = new Daemon(agents);
});
test.after.always(async () => {
  await daemon?.close();
  await agents?.close();
});

async function start(t: ExecutionContext, options: AppOptions): Promise<App> {
  const app = await daemon.start(options);
  t.teardown(() => app.delete());
  return app;
}

// --- pm2 reload ----------------------------------------------------------------------------------------------------

/** Uses the cache in an instance until it ends, and adds what it saw to `all`. */
async function employ(instance: Agent, options: object, count: number, all: Seen[]): Promise<void> {
  // A thousand operations a second and more: what is measured is the host, not a machine without a core to spare.
  await begin(instance, options, count, 4, 2, true);
  all.push(await untilEnded(instance));
}

async function reloads(t: ExecutionContext, rounds: number, count: number, bytes: number): Promise<Figures> {
  const app = await start(t, { instances: 4 });
  const options = { ...patient(), maxSize: 2 ** 30, failsafe: 'reject' };
  await fill(app.instances[0]!, options, count, bytes);
  const worst: number[] = [];
  const total = { operations: 0, misses: 0, wrong: 0, errors: 0, lost: 0 };
  for (let round = 0; round < rounds; round += 1) {
    const before = app.instances;
    const seen: Seen[] = [];
    const employed = before.map((instance) => employ(instance, options, count, seen));
    await until('load', async () => (await Promise.all(before.map(now))).every(({ operations }) => operations > 0));
    await app.reload();
    const after = await app.settled(4, before);
    await Promise.all(employed);
    t.is(seen.length, 4);
    for (const one of seen) {
      t.deepEqual(one.errors, []);
      total.operations += one.operations;
      total.misses += one.misses;
      total.wrong += one.wrong;
      total.errors += one.errors.length;
    }
    worst.push(Math.max(...seen.map((one) => one.worst)));
    total.lost += count - (await intact(after[0]!, options, count));
  }
  t.is(total.lost, 0);
  t.is(total.misses, 0);
  t.is(total.wrong, 0);
  t.is(total.errors, 0);
  return {
    reloads: rounds,
    entries: count,
    bytes,
    ...total,
    'longest operation of a reload, median ms': quantile(worst, 0.5),
    'longest operation of all, ms': Math.max(...worst),
  };
}

linux('pm2 reload under load: no entry is lost, nothing fails', async (t) => {
  t.timeout(LONG ? 900_000 : 120_000);
  keep(t, 'pm2 reload, 4 instances, 10,000 entries', await reloads(t, LONG ? 50 : 2, 10_000, 100));
  if (LONG) keep(t, 'pm2 reload, 4 instances, 100,000 entries', await reloads(t, 5, 100_000, 1_024));
});

// --- a host that is stopped ------------------------------------------------------------------------------------------

linux('a host that is stopped and resumed: no deleted key comes back, no operation hangs', async (t) => {
  t.timeout(LONG ? 900_000 : 120_000);
  const rounds = LONG ? 50 : 4;
  const TIMEOUT = 1_000;
  const pm2 = new Pm2();
  t.teardown(() => pm2.remove());
  const options = { namespace: unique(), timeout: TIMEOUT, failsafe: 'reject' };
  const app = unique('app');
  const instances = await Promise.all(Array.from({ length: 4 }, () => pm2.start(agents, app)));
  await Promise.all(instances.map((instance) => instance.call(options, 'has', 'key')));
  let [stale, deleted, slowest, failed] = [0, 0, 0, 0];
  for (let round = 0; round < rounds; round += 1) {
    const host = await pm2.hostAmong(instances);
    const others = instances.filter((instance) => instance !== host);
    await Promise.all(others.map((instance) => beginDeleting(instance, options, `${round}`)));
    await until('deletions', () => have(others, 20));
    await host.freeze();
    // From an instant to far more than the timeout.
    const length = LONG ? 100 * 50 ** (round / (rounds - 1)) : [100, 400, 1_300, 2_500][round]!;
    await new Promise((resolve) => setTimeout(resolve, length));
    host.resume();
    await until('deletions afterwards', () => have(others, 40));
    const reports = await Promise.all(others.map((instance) => endDeleting(instance)));
    for (const report of reports) {
      slowest = Math.max(slowest, report.slowest);
      deleted += report.deleted.length;
      failed += report.failed;
      stale += report.stale;
    }
    for (const instance of others) {
      const keys = reports.flatMap((report) => report.deleted);
      const patientOptions = { ...options, timeout: 15_000 };
      const found = (await instance.call(patientOptions, 'mGet', keys)) as Map<string, unknown>;
      stale += [...found.values()].filter((value) => value !== undefined).length;
    }
  }
  t.is(stale, 0);
  t.true(deleted > 0);
  t.true(slowest < TIMEOUT + 1_000, `an operation took ${slowest} ms`);
  keep(t, 'a host stopped for 0.1 to 5 s', { rounds, deleted, stale, failed, 'longest operation, ms': slowest });
});

/** Whether each has deleted that many keys. */
async function have(deleters: readonly Agent[], count: number): Promise<boolean> {
  const counts = await Promise.all(deleters.map((agent) => agent.run(({ state }) => state.deletions() as number)));
  return counts.every((one) => one >= count);
}

interface Deletions {
  /** Keys whose deletion was acknowledged. */
  deleted: string[];
  /** Those of them that were found afterwards. */
  stale: number;
  failed: number;
  slowest: number;
}

/** Stores and deletes keys that no other process uses, and checks that deleted keys are gone. */
const beginDeleting = (instance: Agent, options: object, prefix: string): Promise<void> =>
  instance.run(
    ({ cache, state }, options, prefix) => {
      const instance = cache(options);
      const seen = { deleted: [] as string[], stale: 0, failed: 0, slowest: 0 };
      const control = { going: true };
      const timed = async <T>(operation: () => Promise<T>): Promise<T | undefined> => {
        const asked = performance.now();
        try {
          return await operation();
        } catch {
          seen.failed += 1;
          return undefined;
        } finally {
          seen.slowest = Math.max(seen.slowest, performance.now() - asked);
        }
      };
      const run = async (lane: number) => {
        for (let turn = 0; control.going; turn += 1) {
          const key = `${prefix}:${process.pid}:${lane}:${turn}`;
          await timed(() => instance.set(key, turn));
          if (await timed(() => instance.delete(key))) seen.deleted.push(key);
          const earlier = seen.deleted.at(-1 - (turn % 10));
          if (earlier !== undefined && (await timed(() => instance.get(earlier))) !== undefined) seen.stale += 1;
        }
      };
      const all = Promise.all(Array.from({ length: 4 }, (_, lane) => run(lane)));
      state.deletions = () => seen.deleted.length;
      state.deleting = async () => {
        control.going = false;
        await all;
        return { ...seen, deleted: seen.deleted.slice(-2_000) };
      };
    },
    options,
    prefix,
  );

const endDeleting = (instance: Agent): Promise<Deletions> =>
  instance.run(({ state }) => state.deleting() as Promise<Deletions>);

// --- pm2 restart with a snapshot -------------------------------------------------------------------------------------

linux('pm2 restart with a snapshot: all entries are restored', async (t) => {
  t.timeout(LONG ? 300_000 : 120_000);
  const [rounds, count] = LONG ? [10, 10_000] : [2, 2_000];
  const app = await start(t, {
    instances: 4,
    env: { CC_TEST_OPTIONS: JSON.stringify({ persist: { path: snapshot() } }) },
  });
  const options = patient();
  await fill(app.instances[0]!, options, count);
  let least = count;
  for (let round = 0; round < rounds; round += 1) {
    const before = app.instances;
    await app.restart();
    const after = await app.settled(4, before);
    least = Math.min(least, await intact(after[0]!, options, count));
  }
  t.true(least >= count * 0.99, `${least} of ${count}`);
  keep(t, 'pm2 restart with persist', { rounds, entries: count, 'entries after the worst restart': least });
});

const snapshot = (): string => `${daemon.home}/${unique('snapshot')}`;
