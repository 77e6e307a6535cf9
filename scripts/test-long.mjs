// The ava suite with the long form of every test that has one: more operations, more seeds, more rounds.

import { main, run, tool } from './support/project.mjs';

await main(async () => {
  const { code } = await run([...tool('ava'), '--timeout=15m', ...process.argv.slice(2)], {
    env: { CLUSTERED_CACHE_TEST_LONG: '1' },
  });
  process.exitCode = code;
});
