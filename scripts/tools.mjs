// Tests the packed package with tools that load it in unusual ways: test runners, loaders, bundlers and frameworks.
// Each gets a project in a temporary folder, with the tool in a fixed version. The projects are in __test__/tools/ and
// in examples/.
//
//   node scripts/tools.mjs [names of tools]

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { install, pack, platformPackage, project, writeJson } from './support/packing.mjs';
import { at, main, manifest, npm, readJson, run, seconds } from './support/project.mjs';

/** The last releases that run on the oldest supported Node. */
const VERSIONS = {
  ava: manifest.devDependencies.ava,
  esbuild: '0.28.2',
  jest: '30.5.2',
  'ts-node': '10.9.2',
  tsx: manifest.devDependencies.tsx,
  typescript: manifest.devDependencies.typescript,
  '@types/node': manifest.devDependencies['@types/node'],
  sinon: '22.1.0',
  vitest: '4.1.12',
  webpack: '5.112.2',
};
/** A command that hangs fails: each of these takes seconds, and a build of Next.js a minute. */
const DEADLINE = 180_000;
const REQUESTS = 40;
/** The interval between checks whether a server is up. */
const LOOK = 100;

const temporary = mkdtempSync(join(tmpdir(), 'clustered-cache-tools-'));
let tarballs;

// --- projects ----------------------------------------------------------------------------------------------------

/** A project with the fixtures of `name`, the package and these tools. */
async function fixture(name, ...tools) {
  const folder = await project(temporary, name, 'commonjs', [
    ...tarballs,
    ...tools.map((tool) => `${tool}@${VERSIONS[tool]}`),
  ]);
  for (const part of [name, 'shared']) cpSync(at('__test__', 'tools', part), join(folder, part), { recursive: true });
  return folder;
}

/** A project that is one of the examples. */
async function example(name) {
  const folder = join(temporary, name);
  cpSync(at('examples', name), folder, { recursive: true });
  const packageJson = join(folder, 'package.json');
  const { dependencies, ...rest } = readJson(packageJson);
  const { [manifest.name]: _released, ...others } = dependencies;
  writeJson(packageJson, { ...rest, dependencies: others });
  await install(folder, tarballs);
  return folder;
}

/** The program of an installed tool. */
function program(folder, name) {
  const home = join(folder, 'node_modules', name);
  const { bin } = readJson(join(home, 'package.json'));
  return [process.execPath, join(home, typeof bin === 'string' ? bin : bin[name])];
}

/** Runs a command that must end by itself, with directories of its own for files that it may leave. */
async function attempt(cwd, command, env = {}) {
  const scratch = mkdtempSync(join(temporary, 'scratch-'));
  const places = { TMPDIR: join(scratch, 'tmp'), XDG_RUNTIME_DIR: join(scratch, 'run') };
  for (const place of Object.values(places)) mkdirSync(place, { mode: 0o700 });
  // The environment of this script must not affect the command.
  const outer = {
    NODE_OPTIONS: '',
    NODE_TEST_CONTEXT: undefined,
    CLUSTERED_CACHE_TRANSPORT: undefined,
    CLUSTERED_CACHE_SCOPE: undefined,
  };
  const { code, output } = await run(command, {
    cwd,
    env: { ...outer, ...places, NO_COLOR: '1', NEXT_TELEMETRY_DISABLED: '1', ...env },
    onLine: () => {},
    timeout: DEADLINE,
  });
  const left = readdirSync(places.XDG_RUNTIME_DIR, { recursive: true });
  return { command: command.join(' '), code, output, left };
}

/** The traces of a process that listened: a directory for the next. */
const LISTENED = /^clustered-cache$/;
/** The traces of a process that was killed, until the next one listens. */
const KILLED = /^clustered-cache([\\/][0-9a-f]{32}([\\/](s|secret))?)?$/;
const NOTHING = /^$/;

/** As `attempt`, for a command that must succeed, print `expected` in any order, and leave no more than `may`. */
async function expectOutput(cwd, command, expected, { env, may = NOTHING } = {}) {
  const attempted = await attempt(cwd, command, env);
  const printed = [...attempted.output.matchAll(/\b(?:visitor|relatives|client|total) \d+|\bseen\b/g)]
    .map(([text]) => text)
    .sort();
  if (attempted.code === 0 && printed.join() === expected.join() && attempted.left.every((file) => may.test(file)))
    return;
  fail(attempted, `success, "${expected.join(', ')}" and no file`);
}

function fail({ command, code, output, left }, wanted) {
  throw new Error(
    `${command}\nshould end with ${wanted}; it ended with code ${code} and left ${left.join() || 'no file'}\n${output}`,
  );
}

// --- test runners ------------------------------------------------------------------------------------------------

/** Two test files open a cache with the same name. Either each finds it empty, */
const APART = ['visitor 1', 'visitor 1'];
/** or they share it, because they run in one process and the scope is set. */
const TOGETHER = ['visitor 1', 'visitor 2'];
/** Each shares its cache with the processes and threads that it starts, and with no others. */
const FAMILIES = ['relatives 3', 'relatives 3'];

/**
 * Runs two test files in each way, which is arguments, what comes of files that meet in their process if they can, and what comes of
 * them without a word. `may` is what stays of those that listen.
 */
async function runner(name, folder, command, ways, may = LISTENED) {
  const cwd = join(folder, name);
  const scoped = { SETUP: join(folder, 'shared', 'scope.cjs') };
  for (const [args, met, unasked = APART] of ways) {
    const whole = [...command, ...args];
    await expectOutput(cwd, whole, unasked);
    await expectOutput(cwd, whole, met, { env: { CLUSTERED_CACHE_SCOPE: '' } });
    await expectOutput(cwd, whole, APART, { env: scoped });
    if (unasked === APART) await expectOutput(cwd, whole, FAMILIES, { env: { PLAY: 'family' }, may });
  }
}

async function nodeTest() {
  const folder = await fixture('node-test');
  await expectOutput(folder, [process.execPath, 'shared/listen.cjs'], ['seen'], { may: LISTENED });
  const command = [process.execPath, '--test', ...['first', 'second'].map((name) => `node-test/${name}.test.mjs`)];
  await expectOutput(folder, command, APART);
  await expectOutput(folder, command, FAMILIES, { env: { PLAY: 'family' }, may: LISTENED });
}

async function jest() {
  const folder = await fixture('jest', 'jest');
  await runner('jest', folder, program(folder, 'jest'), [
    // There are three files, each in a process.
    [['--maxWorkers=3'], APART],
    [['--runInBand'], TOGETHER],
  ]);
  await underFakeTimers(join(folder, 'jest'), [...program(folder, 'jest'), '--config', 'jest.timers.config.cjs']);
}

/** A test under the fake timers of a framework, which prints one word when it has passed. */
async function underFakeTimers(cwd, command) {
  await expectOutput(cwd, command, ['seen'], { may: LISTENED });
}

async function sinon() {
  const folder = await fixture('sinon', 'sinon');
  await underFakeTimers(folder, [process.execPath, '--test', 'sinon/timers.test.mjs']);
}

async function vitest() {
  const folder = await fixture('vitest', 'vitest');
  await runner(
    'vitest',
    folder,
    [...program(folder, 'vitest'), 'run'],
    [
      [['--pool=forks'], APART],
      [['--pool=threads'], TOGETHER],
      // These files share all their modules, and so this package.
      [['--pool=forks', '--no-isolate', '--maxWorkers=1'], TOGETHER, TOGETHER],
    ],
    KILLED,
  );
  const timers = [...program(folder, 'vitest'), 'run', '--config', 'vitest.timers.config.mjs'];
  await underFakeTimers(join(folder, 'vitest'), timers);
}

async function ava() {
  const folder = await fixture('ava', 'ava');
  await runner('ava', folder, program(folder, 'ava'), [
    [['--no-worker-threads'], APART],
    [[], TOGETHER],
  ]);
}

// --- loaders and bundlers ----------------------------------------------------------------------------------------

/** A cluster of two workers, each of which counts. */
const CLUSTER = ['client 1', 'client 2', 'total 2'];

async function tsx() {
  const folder = await fixture('loaders', 'tsx');
  for (const file of ['app.mts', 'app.cts']) {
    await expectOutput(folder, [...program(folder, 'tsx'), `loaders/${file}`], CLUSTER, { may: LISTENED });
    await expectOutput(folder, [process.execPath, '--import=tsx', `loaders/${file}`], CLUSTER, { may: LISTENED });
  }
}

async function tsNode() {
  const folder = await fixture('loaders', 'ts-node', 'typescript', '@types/node');
  await expectOutput(folder, [...program(folder, 'ts-node'), 'loaders/app.cts'], CLUSTER, { may: LISTENED });
  await expectOutput(folder, [process.execPath, '--loader=ts-node/esm', 'loaders/app.mts'], CLUSTER, { may: LISTENED });
}

/**
 * Bundles an application with the package outside the bundle, where it works, and inside, where the error says what to
 * do.
 */
async function bundler(name, endings) {
  const folder = await fixture('bundlers', name);
  for (const ending of endings) {
    const build = [process.execPath, `bundlers/${name}.mjs`, `bundlers/app.${ending}`];
    const output = (where) => `out/${name}-${where}.${ending}`;
    await expectOutput(folder, [...build, output('outside'), 'outside'], []);
    await expectOutput(folder, [process.execPath, output('outside')], CLUSTER, { may: LISTENED });
    await expectOutput(folder, [...build, output('inside')], []);
    const inside = await attempt(folder, [process.execPath, output('inside')]);
    if (
      inside.code === 0 ||
      !/ERR_CC_NATIVE_MISSING/.test(inside.output) ||
      !/external: \['clustered-cache'\]/.test(inside.output)
    ) {
      fail(inside, 'ERR_CC_NATIVE_MISSING and what to write in the configuration');
    }
  }
}

// --- frameworks --------------------------------------------------------------------------------------------------

const freePort = async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
};

/** Builds an application that counts visits at /visits, starts it in a cluster, and sends requests. */
async function framework(name) {
  const folder = await example(name);
  await expectOutput(folder, [...npm(), 'run', 'build'], []);
  const port = await freePort();
  const [, ...script] = readJson(join(folder, 'package.json')).scripts.start.split(' ');
  const server = spawn(process.execPath, script, {
    cwd: folder,
    env: { ...process.env, NODE_ENV: 'production', NEXT_TELEMETRY_DISABLED: '1', PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [server.stdout, server.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  const closed = once(server, 'close');
  try {
    await countVisits(`http://127.0.0.1:${port}/visits`, server);
  } catch (error) {
    throw new Error(`${script.join(' ')} in examples/${name}: ${error.message}\n${output}`, { cause: error });
  } finally {
    server.kill();
    await closed;
  }
}

async function countVisits(url, server) {
  // Each on a connection of its own: the primary distributes connections in turn.
  const visit = async () => (await fetch(url, { headers: { connection: 'close' } })).json();
  const first = await untilUp(visit, server);
  const visits = [first, ...(await Promise.all(Array.from({ length: REQUESTS - 1 }, visit)))];
  const totals = visits.map(({ total }) => total).sort((one, other) => one - other);
  const processes = new Set(visits.map((one) => one.process));
  const each = totals.every((total, index) => total === index + 1);
  if (each && processes.size === 2 && visits.every(({ role }) => role === 'client')) return;
  throw new Error(
    `${REQUESTS} visits should count 1 to ${REQUESTS} in two processes; they gave ${JSON.stringify(visits)}`,
  );
}

async function untilUp(visit, server) {
  const end = performance.now() + DEADLINE;
  for (;;) {
    try {
      return await visit();
    } catch (error) {
      if (server.exitCode !== null) throw new Error(`it ended with code ${server.exitCode}`, { cause: error });
      if (performance.now() > end) throw error;
      await pause(LOOK);
    }
  }
}

// --- all ---------------------------------------------------------------------------------------------------------

const TOOLS = {
  'node --test': [process.versions.node, nodeTest],
  jest: [VERSIONS.jest, jest],
  vitest: [VERSIONS.vitest, vitest],
  sinon: [VERSIONS.sinon, sinon],
  ava: [VERSIONS.ava, ava],
  tsx: [VERSIONS.tsx, tsx],
  'ts-node': [VERSIONS['ts-node'], tsNode],
  esbuild: [VERSIONS.esbuild, () => bundler('esbuild', ['cjs', 'mjs'])],
  webpack: [VERSIONS.webpack, () => bundler('webpack', ['cjs'])],
  'Next.js': [readJson(at('examples/next/package.json')).dependencies.next, () => framework('next')],
  NestJS: [readJson(at('examples/nest/package.json')).dependencies['@nestjs/core'], () => framework('nest')],
};

await main(async () => {
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(TOOLS);
  const unknown = names.filter((name) => !(name in TOOLS));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join()}; known are ${Object.keys(TOOLS).join()}`);
  let failed = 0;
  try {
    tarballs = [(await pack(at(), temporary)).tarball, (await pack(platformPackage(temporary), temporary)).tarball];
    for (const name of names) {
      const [version, test] = TOOLS[name];
      const start = performance.now();
      try {
        await test();
        console.log(`${name} ${version}: passed, ${seconds(start)}`);
      } catch (error) {
        failed += 1;
        console.log(`${name} ${version}: FAILED, ${seconds(start)}\n${error.message}\n`);
      }
      // Each is some hundred megabytes.
      for (const entry of readdirSync(temporary, { withFileTypes: true })) {
        if (entry.isDirectory() && entry.name !== 'platform') rmSync(join(temporary, entry.name), { recursive: true });
      }
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  if (failed > 0) throw new Error(`${failed} of ${names.length} failed`);
});
