// Makes a checkout ready: installs the development dependencies, builds the native addon, compiles the TypeScript.
// Each step runs only when its inputs have changed since it last succeeded.
//
//   node scripts/ensure.mjs                     whatever is missing or stale
//   node scripts/ensure.mjs typescript          only that step, or those: dependencies, native, typescript
//   node scripts/ensure.mjs --force native      that step even when nothing has changed

import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { at, main, manifest, npm, run, seconds } from './support/project.mjs';
import { fingerprint, isStamped, stamp, unstamp } from './support/stamp.mjs';

const OLDEST_NODE = 20;

/** The addon's file for this machine, such as `clustered-cache.linux-x64-gnu.node`. */
const isAddon = (file) =>
  file.startsWith(`${manifest.napi.binaryName}.${process.platform}-${process.arch}`) && file.endsWith('.node');

const steps = [
  {
    name: 'dependencies',
    doing: 'installing from package-lock.json',
    inputs: ['package-lock.json'],
    made: () => existsSync(at('node_modules', '.package-lock.json')),
    command: () => [...npm(), 'ci', '--no-audit', '--no-fund', '--loglevel=error'],
  },
  {
    name: 'native',
    doing: 'building the addon with cargo (a few minutes the first time)',
    inputs: ['Cargo.toml', 'Cargo.lock', 'build.rs', 'src', 'crates'],
    facts: [
      manifest.napi,
      manifest.scripts.addon,
      manifest.devDependencies['@napi-rs/cli'],
      process.platform,
      process.arch,
    ],
    made: () => readdirSync(at()).some(isAddon) && existsSync(at('binding.js')) && existsSync(at('binding.d.ts')),
    before: requireCargo,
    command: () => [...npm(), 'run', '--silent', 'addon', '--', '--', '--locked'],
  },
  {
    name: 'typescript',
    doing: 'bundling ts/ into lib/',
    inputs: ['ts', 'tsconfig.json', 'tsconfig.base.json', 'scripts/lib.mjs', 'binding.d.ts', 'package-lock.json'],
    made: () => ['index.js', 'index.d.ts', 'cli.js'].every((file) => existsSync(at('lib', file))),
    // The output of a removed source file must not stay in lib/.
    before: () => rmSync(at('lib'), { recursive: true, force: true }),
    command: () => [process.execPath, at('scripts', 'lib.mjs')],
  },
];

function requireNode() {
  if (Number(process.versions.node.split('.')[0]) < OLDEST_NODE) {
    throw new Error(
      `Node.js ${OLDEST_NODE} or later is needed; this is ${process.versions.node} (${process.execPath}).`,
    );
  }
}

async function requireCargo() {
  const [, oldest] = /^rust-version = "(.+)"$/m.exec(readFileSync(at('Cargo.toml'), 'utf8'));
  const { code, output } = await run(['cargo', '--version'], { onLine: () => {} });
  if (code === 127) {
    throw new Error(
      `cargo was not found. Install Rust ${oldest} or later (https://rustup.rs), open a new shell and try again.`,
    );
  }
  if (code !== 0) throw new Error(`cargo --version failed:\n${output}`);
  const [, major, minor] = /cargo (\d+)\.(\d+)/.exec(output);
  const [oldestMajor, oldestMinor] = oldest.split('.').map(Number);
  if (Number(major) < oldestMajor || (Number(major) === oldestMajor && Number(minor) < oldestMinor)) {
    throw new Error(
      `Rust ${oldest} or later is needed; this is ${output.trim()}. Update it with: rustup update stable`,
    );
  }
}

/** On a terminal, the tool's latest line follows the step's, so that a long build shows progress. */
function progress(head) {
  if (!process.stdout.isTTY) {
    process.stdout.write(head);
    return { onLine: () => {}, end: (text) => console.log(text) };
  }
  const show = (text) => process.stdout.write(`\r\x1b[2K${`${head}${text}`.slice(0, process.stdout.columns - 1)}`);
  show('');
  return { onLine: (line) => show(` ${line}`), end: (text) => console.log(`\r\x1b[2K${head}${text}`) };
}

/** Resolves to whether the step had to run. */
async function bring({ name, doing, inputs, facts, made, before, command }, force) {
  const print = fingerprint(inputs, facts);
  if (!force && made() && isStamped(name, print)) return false;

  const start = performance.now();
  const { onLine, end } = progress(`${name}: ${doing} ...`);
  try {
    unstamp(name);
    await before?.();
    const { code, output } = await run(command(), { onLine });
    if (code !== 0) throw new Error(output.trim());
    if (!made()) throw new Error(`${command().join(' ')}\nsucceeded, but did not make what it should.`);
  } catch (error) {
    end(' failed');
    throw error;
  }
  stamp(name, print);
  end(` ${seconds(start)}`);
  return true;
}

/** The steps that the command line asks for. */
function chosen(names) {
  const unknown = names.filter((name) => !steps.some((step) => step.name === name));
  if (unknown.length > 0) {
    throw new Error(`No such step: ${unknown.join(', ')}. There are: ${steps.map((step) => step.name).join(', ')}`);
  }
  return names.length === 0 ? steps : steps.filter((step) => names.includes(step.name));
}

await main(async () => {
  requireNode();
  const args = process.argv.slice(2);
  const wanted = chosen(args.filter((arg) => arg !== '--force'));
  let worked = false;
  for (const step of wanted) worked = (await bring(step, args.includes('--force'))) || worked;
  if (!worked) console.log(`${wanted.map((step) => step.name).join(', ')}: up to date`);
});
