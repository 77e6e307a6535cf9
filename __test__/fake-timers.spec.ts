// Fake timers of a test framework replace global timers and clocks. The cache has its own.
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { ClusteredCache } from '../index.js';
import { Agents } from './helpers/agents.ts';
import { unique } from './helpers/names.ts';
import { ROOT } from './helpers/scripts.ts';
import { until } from './helpers/wait.ts';

let agents: Agents;
let endpoint: string;

test.before(async () => {
  agents = await Agents.start();
  ({ endpoint } = await ClusteredCache.listen());
});
test.after.always(() => agents?.close());

/** Replaces what frameworks replace, in the process of an agent; `state.restore` undoes it. */
const INSTALL = ({ state }: { state: Record<string, any> }) => {
  const { setTimeout, clearTimeout, setInterval, setImmediate, queueMicrotask, performance } = globalThis;
  const { nextTick } = process;
  const frozen = performance.now();
  const never = () => ({ ref() {}, unref() {} });
  Object.assign(globalThis, { setTimeout: never, setInterval: never, setImmediate: never, queueMicrotask: never });
  Object.assign(globalThis, { clearTimeout: () => {} });
  Object.defineProperty(globalThis, 'performance', {
    value: { now: () => frozen },
    configurable: true,
    writable: true,
  });
  process.nextTick = () => {};
  state.restore = () => {
    Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, setImmediate, queueMicrotask });
    Object.defineProperty(globalThis, 'performance', { value: performance, configurable: true, writable: true });
    process.nextTick = nextTick;
  };
};

test('requests are sent and answered under fake timers, and after them', async (t) => {
  const agent = await agents.spawn();
  const options = { namespace: unique(), endpoint, timeout: 15_000 };
  await agent.run(({ cache }, options) => cache(options).ready, options);
  const install = agent.run(INSTALL as never);
  await install;
  const outcomes = await agent.run(async ({ cache, state }, options) => {
    const own = cache(options);
    const under = [await own.set('key', 1), await own.incr('count'), await own.get('key')];
    state.restore();
    return [...under, await own.incr('count')];
  }, options);
  t.deepEqual(outcomes, [true, 1, 1, 2]);
});

test('operations time out under fake timers, and after them', async (t) => {
  const agent = await agents.spawn();
  const host = await agents.spawn();
  const silent = await host.run(async ({ cc }) => (await cc.ClusteredCache.listen()).endpoint);
  const options = { namespace: unique(), endpoint: silent, timeout: 200, failsafe: 'reject' };
  await agent.run(({ cache }, options) => cache(options).ready, options);
  await agent.run(INSTALL as never);
  await host.freeze();
  const codes = await agent.run(async ({ cache, state }, options) => {
    const code = () =>
      cache(options)
        .set('key', 1)
        .then(String, (error: Error & { code?: string }) => error.code);
    const under = await code();
    state.restore();
    return [under, await code()];
  }, options);
  host.resume();
  t.deepEqual(codes, ['ERR_CC_UNKNOWN_OUTCOME', 'ERR_CC_UNKNOWN_OUTCOME']);
});

test('a value that a near cache keeps expires under fake timers', async (t) => {
  const agent = await agents.spawn();
  const options = { namespace: unique(), endpoint, near: true, timeout: 15_000 };
  await agent.run(({ cache }, options) => cache(options).ready, options);
  await agent.run(INSTALL as never);
  await agent.run(({ cache }, options) => cache(options).set('key', 1, { ttl: 300 }), options);
  t.is(await agent.call(options, 'get', 'key'), 1);
  await until('the end of the value', async () => (await agent.call(options, 'get', 'key')) === undefined);
});

test('no source but one uses a tick of the process, which fake timers replace', (t) => {
  const files = readdirSync(`${ROOT}ts`, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const users = files.filter((file) => /process\.(nextTick|hrtime)\b/.test(readFileSync(`${ROOT}ts/${file}`, 'utf8')));
  t.deepEqual(users, ['time.ts']);
});

test("an end is measured by the application's own clock, which gave it", async (t) => {
  const agent = await agents.spawn();
  const options = { namespace: unique(), endpoint, timeout: 15_000 };
  const remaining = await agent.run(async ({ cache }, options) => {
    const [own, real] = [cache(options), Date.now];
    await own.ready;
    Date.now = () => 1_000;
    try {
      await own.set('set', 1, { expiresAt: 61_000 });
      await own.setIfAbsent('setIfAbsent', 1, { expiresAt: 61_000 });
      await own.mSet([['mSet', 1, { expiresAt: 61_000 }]]);
      await own.set('touch', 1);
      await own.touch('touch', { expiresAt: 61_000 });
      const times = await Promise.all(['set', 'setIfAbsent', 'mSet', 'touch'].map((key) => own.getRemainingTTL(key)));
      return [...times, await own.set('set', 1, { expiresAt: 1_000 })];
    } finally {
      Date.now = real;
    }
  }, options);
  const last = (remaining as unknown[]).pop();
  t.true(
    (remaining as number[]).every((time) => time > 30_000 && time <= 60_000),
    String(remaining),
  );
  t.is(last, false, 'it is past by that clock');
});
