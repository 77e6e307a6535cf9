// Runs everything that has a long form in that form: more operations, more seeds, more rounds. The shared table comes
// first, unless arguments pick tests of the ava suite; an older build and other tools come last.

import figures from './support/figures.cjs';
import { at, main, mustRun, run } from './support/project.mjs';

const table = ['cargo', 'test', '-p', 'clustered-cache-shm', '--locked', '--release'];
const core = ['cargo', 'test', '-p', 'clustered-cache-core', '--locked', '--release'];
const steps = [
  ['1,000 killed writers', [...table, '--test', 'two_process', 'killed'], { SHM_KILLS: '1000' }],
  [
    '2,000 elections among processes that are killed and suspended',
    [...core, '--test', 'election_processes', '--', '--nocapture'],
    { ELECTION_ROUNDS: '2000' },
  ],
  [
    'malformed input from peers',
    // Not optimized: overflow is checked.
    ['cargo', 'test', '-p', 'clustered-cache-core', '--locked', '--test', 'malformed_input'],
    { MALFORMED_ROUNDS: '20000' },
  ],
  ['10^8 reads by other processes', [...table, '--test', 'two_process', 'processes'], { SHM_READS: '100000000' }],
  ['10^8 reads by other threads', [...table, '--lib', 'beside'], { SHM_READS: '100000000' }],
  [
    'every order of steps that loom finds',
    [...table, '--lib'],
    { RUSTFLAGS: '--cfg loom', CARGO_TARGET_DIR: at('target', 'loom'), LOOM_MAX_PREEMPTIONS: '3' },
  ],
];

await main(async () => {
  const selection = process.argv.slice(2);
  for (const [title, command, env] of selection.length > 0 ? [] : steps) {
    console.log(`# ${title}`);
    const [, found] = /figures (\{.*\})/.exec(await mustRun(command, { env })) ?? [];
    if (!found) continue;
    console.log(found);
    figures.keepFigures(title, JSON.parse(found));
  }
  const { code } = await run([process.execPath, at('scripts', 'test.mjs'), '--timeout=15m', ...selection], {
    env: { CLUSTERED_CACHE_TEST_LONG: '1' },
  });
  process.exitCode = code;
  if (code !== 0 || selection.length > 0) return;
  console.log('# this build and an older one in one application');
  await mustRun([process.execPath, at('scripts', 'versions.mjs')], { onLine: undefined });
  console.log('# the package under other tools');
  await mustRun([process.execPath, at('scripts', 'tools.mjs')], { onLine: undefined });
});
