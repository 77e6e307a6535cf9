// Runs every check of CI, cheapest first, up to the first failure.
//
//   npm run ready
//   node scripts/ready.mjs --done test,demo     the caller has run these: they count as passed and are skipped

import { main, npm, run, seconds } from './support/project.mjs';

const node = (...args) => [process.execPath, ...args];
const script = (name) => [...npm(), 'run', '--silent', name];
const cargo = (...args) => ['cargo', ...args];

const steps = [
  ['build', node('scripts/ensure.mjs')],
  ['rustfmt', cargo('fmt', '--all', '--check')],
  ['lint', script('lint')],
  ['types', script('check')],
  ['reference', node('node_modules/typedoc/bin/typedoc', '--emit', 'none')],
  ['generated', node('scripts/clean-diff.mjs')],
  ['package', node('scripts/pack-check.mjs')],
  ['demo', script('demo')],
  // The addon is checked separately: under the test profile napi exports nothing, so all its code would be dead.
  ['clippy', cargo('clippy', '--workspace', '--locked', '--', '-D', 'warnings')],
  [
    'clippy tests',
    cargo(
      'clippy',
      '--workspace',
      '--exclude',
      'clustered-cache',
      '--all-targets',
      '--all-features',
      '--locked',
      '--',
      '-D',
      'warnings',
    ),
  ],
  [
    'rustdoc',
    cargo('doc', '--workspace', '--no-deps', '--document-private-items', '--locked'),
    { RUSTDOCFLAGS: '-D warnings' },
  ],
  ['core', cargo('test', '--workspace', '--locked')],
  // Again with clients that read their connections themselves.
  ['own reads', cargo('test', '-p', 'clustered-cache-core', '--locked', '--tests'), { CLIENTS_READ_THEMSELVES: '1' }],
  ['test', script('test')],
  ['nodes', node('scripts/nodes.mjs')],
];

/** The names after `--done`. */
function doneBefore([flag, names = '']) {
  const done = flag === '--done' ? names.split(',') : [];
  const unknown = done.filter((name) => !steps.some(([step]) => step === name));
  if ((flag !== undefined && flag !== '--done') || unknown.length > 0) {
    throw new Error(`--done takes some of: ${steps.map(([name]) => name).join(',')}`);
  }
  return done;
}

await main(async () => {
  const done = doneBefore(process.argv.slice(2));
  let passed = done.length;
  for (const [name, command, env] of steps.filter(([step]) => !done.includes(step))) {
    console.log(`\n== ${name}`);
    const start = performance.now();
    const { code } = await run(command, { env });
    if (code !== 0) {
      console.log(`\n${name} failed: ${passed} passed, 1 failed`);
      process.exitCode = 1;
      return;
    }
    console.log(`== ${name}: ${seconds(start)}`);
    passed += 1;
  }
  console.log(`\n${passed} passed, 0 failed`);
});
