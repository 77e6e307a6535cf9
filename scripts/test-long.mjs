// The ava suite with the long form of every test that has one: more operations, more seeds, more rounds.

import { at, main, run } from './support/project.mjs';

await main(async () => {
  const { code } = await run([process.execPath, at('scripts', 'test.mjs'), '--timeout=15m', ...process.argv.slice(2)], {
    env: { CLUSTERED_CACHE_TEST_LONG: '1' },
  });
  process.exitCode = code;
});
