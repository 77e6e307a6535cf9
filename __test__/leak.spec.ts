import test from 'ava';
import { Agents } from './helpers/agents.ts';
import { LONG } from './helpers/long.ts';
import { node } from './helpers/scripts.ts';

const ROUNDS = LONG ? 100 : 4;

/** The engine's young generation otherwise grows with the rounds, by up to 100 MB in some releases, and hides a leak. */
const FLAGS = ['--expose-gc', '--max-semi-space-size=1'];

const leak = (env: Record<string, string>) =>
  node([...FLAGS, '__test__/memory/leak.mjs', String(ROUNDS)], { env, ms: 50_000 + ROUNDS * 8_000 });

test('host: memory does not grow with the number of calls, whether they succeed or fail', async (t) => {
  const outcome = await leak({});
  t.is(outcome.code, 0, outcome.stdout + outcome.stderr);
});

test('client: memory does not grow with the number of calls, neither in the client nor in its host', async (t) => {
  const agents = await Agents.start();
  t.teardown(() => agents.close());
  const host = await agents.spawn('process.cjs', { execArgv: FLAGS });
  const endpoint = await host.run(async ({ cc, state }) => {
    state.listener = await cc.ClusteredCache.listen();
    return state.listener.endpoint;
  });
  const memory = () =>
    host.run(() => {
      (globalThis as any).gc();
      return process.memoryUsage.rss();
    });
  // The first run brings the host to its working size.
  t.is((await leak({ CC_LEAK_ENDPOINT: endpoint })).code, 0);
  const before = await memory();
  const outcome = await leak({ CC_LEAK_ENDPOINT: endpoint });
  t.is(outcome.code, 0, outcome.stdout + outcome.stderr);
  const grown = (await memory()) - before;
  t.true(grown < 32 * 2 ** 20, `the host grew by ${grown} bytes`);
});
