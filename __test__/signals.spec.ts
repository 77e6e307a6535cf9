import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { directoryFor } from './helpers/directories.ts';
import { ROOT, cleanEnvironment, script } from './helpers/scripts.ts';
import { until, within } from './helpers/wait.ts';

const onUnix = process.platform === 'win32' ? test.skip : test;

/** Makes a process the first one of a PID namespace, as the process of a container is. */
const CONTAINER = ['--pid', '--fork', '--mount-proc', '--kill-child'];
const canContain =
  process.platform === 'linux' && spawnSync('unshare', [...CONTAINER, 'true'], { timeout: 10_000 }).status === 0;
const inContainer = canContain ? test : test.skip;

/** Runs a script as PID 1 until it has said "ready", sends it `signal`, and returns how it ended. */
async function signalled(signal: NodeJS.Signals, source: string): Promise<{ code: number | null; stdout: string }> {
  const program = `const cc = require(${JSON.stringify(`${ROOT}index.js`)});\n${source}`;
  const outer = spawn('unshare', [...CONTAINER, process.execPath, '-e', program], {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => outer.once('close', resolve));
  let stdout = '';
  outer.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  try {
    await until('the script to be ready', () => stdout.includes('ready'));
    const children = readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8');
    process.kill(Number(children.trim().split(' ')[0]), signal);
    const code = await within(ended, 'an end');
    return { code, stdout };
  } finally {
    outer.kill('SIGKILL');
  }
}

const persisted = (snapshot: string, more: string) => `
  const cache = new cc.ClusteredCache({ namespace: 'p', persist: { path: ${JSON.stringify(snapshot)} } });
  setInterval(() => {}, 1000);
  cache.setSync('key', 'value');
  ${more}
  console.log(process.pid === 1 ? 'ready' : 'not the first process');
`;

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  inContainer(`${signal} ends the first process of a container, and its snapshot is complete`, async (t) => {
    const snapshot = path.join(directoryFor(t), 'snapshot');
    t.is((await signalled(signal, persisted(snapshot, ''))).code, code);
    t.true(existsSync(snapshot));
    const next = await script(`
      const cache = new cc.ClusteredCache({ namespace: 'p', persist: { path: ${JSON.stringify(snapshot)} } });
      console.log(cache.getSync('key'));
    `);
    t.is(next.stdout, 'value\n');
  });
}

inContainer('the first process of a container that handles SIGTERM uses its cache until it ends', async (t) => {
  const snapshot = path.join(directoryFor(t), 'snapshot');
  const { code, stdout } = await signalled(
    'SIGTERM',
    persisted(
      snapshot,
      `process.on('SIGTERM', () => setImmediate(async () => {
        await cache.set('late', 1);
        console.log(await cache.get('late'), cache.getSync('key'));
        process.exit(7);
      }));`,
    ),
  );
  t.is(code, 7);
  t.regex(stdout, /1 value/);
});

/** Listens as the package `signal-exit` does, which ends the process if its listeners are the only ones. */
const SIGNAL_EXIT = `
  const emitter = process[Symbol.for('signal-exit emitter')] = { count: 1 };
  const onSignal = () => {
    if (process.listeners('SIGTERM').length !== emitter.count) return;
    process.off('SIGTERM', onSignal);
    emitter.count = 0;
    process.kill(process.pid, 'SIGTERM');
  };
  process.on('SIGTERM', onSignal);
`;
/** A second copy of the package, as another major version in the same application would be. */
const COPY = `
  delete globalThis[Symbol.for('clustered-cache@0')];
  for (const file of Object.keys(require.cache)) if (!file.endsWith('.node')) delete require.cache[file];
  const other = require(${JSON.stringify(`${ROOT}index.js`)});
  new other.ClusteredCache({ persist: { path: SNAPSHOT } });
`;

for (const [what, source] of [
  ['signal-exit', SIGNAL_EXIT],
  ['a second copy of this package', COPY],
] as const) {
  onUnix(`SIGTERM ends a process with a snapshot that also uses ${what}`, async (t) => {
    const snapshot = path.join(directoryFor(t), 'snapshot');
    const open = persisted(snapshot, `setTimeout(() => process.kill(process.pid, 'SIGTERM'));`);
    for (const order of [source + open, open + source]) {
      const outcome = await script(`const SNAPSHOT = ${JSON.stringify(snapshot)};\n${order}`);
      t.like(outcome, { hung: false, signal: 'SIGTERM' }, outcome.stderr);
      t.true(existsSync(snapshot));
    }
  });
}
