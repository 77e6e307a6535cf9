import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import * as commonjs from '../index.js';
import { Agents } from './helpers/agents.ts';
import { unique } from './helpers/names.ts';
import { node, ROOT } from './helpers/scripts.ts';

const NAMES = ['ClusteredCache', 'ClusteredCacheError', 'isClusteredCacheError', 'memoize', 'wrap'];
let agents: Agents;
let endpoint: string;
let project: string;

test.before(async () => {
  agents = await Agents.start();
  const host = await agents.spawn();
  endpoint = await host.run(async ({ cc, state }) => {
    state.listener = await cc.ClusteredCache.listen();
    return state.listener.endpoint;
  });
  project = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'cc-exports-')));
  mkdirSync(path.join(project, 'node_modules'));
  symlinkSync(ROOT, path.join(project, 'node_modules', 'clustered-cache'), 'dir');
});
test.after.always(async () => {
  await agents?.close();
  rmSync(project, { recursive: true, force: true });
});

/** Runs a file of a project that depends on the package. */
function consumer(name: string, source: string, env: Record<string, string> = {}) {
  const file = path.join(project, name);
  writeFileSync(file, source);
  const loader = name.endsWith('ts') ? [`--import=${import.meta.resolve('tsx')}`] : [];
  return node([...loader, file], { cwd: project, env });
}

const CLEAN = { code: 0, stderr: '' };

test('the package exports exactly the public names', async (t) => {
  t.deepEqual(
    Object.keys(commonjs)
      .filter((name) => name !== 'default' && name !== 'module.exports')
      .sort(),
    NAMES,
  );
  const cjs = await consumer('names.cjs', `console.log(Object.keys(require('clustered-cache')).sort().join())`);
  t.like(cjs, { ...CLEAN, stdout: `${NAMES.join()}\n` });
  const esm = await consumer(
    'names.mjs',
    `import * as cc from 'clustered-cache'; console.log(Object.keys(cc).sort().join())`,
  );
  t.like(esm, { ...CLEAN, stdout: `${NAMES.join()}\n` });
});

test('ESM and CommonJS in one process are the same cache', async (t) => {
  const outcome = await consumer(
    'both.mjs',
    `
    import { createRequire } from 'node:module';
    import { ClusteredCache } from 'clustered-cache';
    const required = createRequire(import.meta.url)('clustered-cache');
    const cache = new ClusteredCache();
    await cache.set('key', 'shared');
    console.log(required.ClusteredCache === ClusteredCache, await new required.ClusteredCache().get('key'));
  `,
  );
  t.like(outcome, { ...CLEAN, stdout: 'true shared\n' });
});

test('ESM, CommonJS and TypeScript processes share one cache', async (t) => {
  const env = { CLUSTERED_CACHE_ENDPOINT: endpoint, NAMESPACE: unique() };
  const use = `
    const cache = new ClusteredCache({ namespace: process.env.NAMESPACE });
    const run = async () => console.log(cache.role, await cache.incr('n'), await cache.get('last'), await cache.set('last', LANGUAGE));
    run();
  `;
  const outcomes = [
    await consumer('a.mjs', `import { ClusteredCache } from 'clustered-cache'; const LANGUAGE = 'ESM'; ${use}`, env),
    await consumer(
      'b.cjs',
      `const { ClusteredCache } = require('clustered-cache'); const LANGUAGE = 'CommonJS'; ${use}`,
      env,
    ),
    await consumer(
      'c.mts',
      `import { ClusteredCache } from 'clustered-cache'; const LANGUAGE: string = 'TypeScript'; ${use}`,
      env,
    ),
    await consumer(
      'd.cts',
      `import { ClusteredCache } from 'clustered-cache'; const LANGUAGE: string = 'TypeScript CJS'; ${use}`,
      env,
    ),
  ];
  t.deepEqual(
    outcomes.map(({ stdout }) => stdout.trim()),
    ['client 1 undefined true', 'client 2 ESM true', 'client 3 CommonJS true', 'client 4 TypeScript true'],
    outcomes.map(({ stderr }) => stderr).join(),
  );
});

test('package.json can be read, internals cannot', async (t) => {
  const outcome = await consumer(
    'internals.cjs',
    `
    console.log(require('clustered-cache/package.json').name);
    try { require('clustered-cache/lib/index.js'); } catch (error) { console.log(error.code); }
    try { require('clustered-cache/binding.js'); } catch (error) { console.log(error.code); }
  `,
  );
  t.like(outcome, {
    ...CLEAN,
    stdout: 'clustered-cache\nERR_PACKAGE_PATH_NOT_EXPORTED\nERR_PACKAGE_PATH_NOT_EXPORTED\n',
  });
});

test('DEBUG prints life-cycle messages, and nothing is printed without it', async (t) => {
  const source = `const { ClusteredCache } = require('clustered-cache'); new ClusteredCache().get('key');`;
  const env = { CLUSTERED_CACHE_ENDPOINT: endpoint };
  t.like(await consumer('quiet.cjs', source, env), { ...CLEAN, stdout: '' });
  const loud = await consumer('loud.cjs', source, { ...env, DEBUG: 'clustered-cache:*' });
  t.is(loud.code, 0);
  t.regex(loud.stderr, /clustered-cache:\w+/);
  t.like(await consumer('other.cjs', source, { ...env, DEBUG: 'express:*' }), CLEAN);
});
