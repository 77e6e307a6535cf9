import { randomInt } from 'node:crypto';
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { node, ROOT, script, type ScriptOptions } from './helpers/scripts.ts';
import { DEADLINE } from './helpers/wait.ts';

const isWindows = process.platform === 'win32';
const onUnix = isWindows ? test.serial.skip : test.serial;
/** Only root can start processes of other users. */
const asRoot = process.getuid?.() === 0 ? test.serial : test.serial.skip;
/** The user `nobody`, which is certainly not the one that runs the tests. */
const FOREIGN_UID = 65_534;
const CLEAN = { code: 0, signal: null, hung: false, stderr: '' };

/** Checks that a program has ended well, and was warned once that it has no host. */
function warnedOnly(t: ExecutionContext, outcome: Awaited<ReturnType<typeof node>>): void {
  t.like(outcome, { ...CLEAN, stderr: outcome.stderr });
  t.is(outcome.stderr.split('[CC_NO_HOST]').length - 1, 1, outcome.stderr);
}

/** An environment that leaves only TMPDIR and the last resort to choose from. */
const NO_SESSION = { XDG_RUNTIME_DIR: undefined };

/** A directory that every user can read, like a program's. */
function publicDirectory(t: ExecutionContext): string {
  const directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'cc-env-')));
  chmodSync(directory, 0o755);
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Runs a program of a cluster with one worker; it has the package as `cc`, the module as `cluster` and `timeout`. */
function clustered(t: ExecutionContext, { primary = '', worker = '' }, options: ScriptOptions = {}) {
  const file = path.join(publicDirectory(t), 'app.cjs');
  const source = `
    const cluster = require('node:cluster');
    const cc = require(${JSON.stringify(`${ROOT}index.js`)});
    const timeout = ${DEADLINE};
    const told = ({ code, message }) => console.log(code, message);
    if (cluster.isPrimary) { ${primary}; cluster.fork(); }
    else (async () => { ${worker} })().catch(told).finally(() => cluster.worker.disconnect());`;
  writeFileSync(file, source, { mode: 0o644 });
  return node([file], options);
}

/** What a worker prints when everything works. */
const WORKS = { worker: "console.log(await new cc.ClusteredCache({ timeout }).set('key', 1));" };
const endpointOf = 'cc.ClusteredCache.listen().then(({ endpoint }) => console.log(endpoint));';

onUnix('a TMPDIR that is too long for a socket is skipped', async (t) => {
  const long = path.join(publicDirectory(t), 'd'.repeat(100));
  mkdirSync(long, { mode: 0o700 });
  // A session's own directory, where there is one, comes first.
  const env = { ...NO_SESSION, TMPDIR: long };
  t.like(await clustered(t, WORKS, { env }), { ...CLEAN, stdout: 'true\n' });
  const { stdout } = await script(endpointOf, { env });
  t.true(path.isAbsolute(stdout.trim()) && !stdout.startsWith(long), stdout);
});

onUnix('a cluster works without a home directory', async (t) => {
  for (const HOME of [undefined, '', '/nonexistent']) {
    t.like(await clustered(t, WORKS, { env: { HOME } }), { ...CLEAN, stdout: 'true\n' }, String(HOME));
  }
});

onUnix('a TMPDIR that does not exist or is not writable is skipped', async (t) => {
  for (const TMPDIR of ['/nonexistent', '/proc', '/dev/null', '']) {
    t.like(await clustered(t, WORKS, { env: { ...NO_SESSION, TMPDIR } }), { ...CLEAN, stdout: 'true\n' }, TMPDIR);
  }
});

asRoot(
  'if no directory is writable, the error in a worker lists each with the reason, and the worker runs without a host',
  async (t) => {
    // A user id that is not in use and whose last resort is taken: as on a root that is mounted read-only.
    const uid = 1_000_000 + randomInt(1_000_000);
    const squatted = `/tmp/clustered-cache-${uid}`;
    mkdirSync(squatted);
    t.teardown(() => rmSync(squatted, { recursive: true, force: true }));
    const worker = `
    console.log(await new cc.ClusteredCache({ timeout: 1000 }).get('key'));
    await new cc.ClusteredCache({ timeout: 1000, failsafe: 'reject' }).get('key');`;
    const outcome = await clustered(t, { worker }, { uid, env: { ...NO_SESSION, TMPDIR: '/proc' } });
    warnedOnly(t, outcome);
    t.regex(outcome.stdout, /^undefined\nERR_CC_NO_HOST /);
    for (const named of ['the primary cannot listen', '/proc', squatted, 'TMPDIR']) {
      t.true(outcome.stdout.includes(named), `${named}: ${outcome.stdout}`);
    }
  },
);

asRoot('if other users cannot enter any directory, the error for `allowUids` and for workers lists each', async (t) => {
  const uid = 1_000_000 + randomInt(1_000_000);
  const closed = path.join(publicDirectory(t), 'closed');
  mkdirSync(closed, { mode: 0o700 });
  chownSync(closed, uid, uid);
  const squatted = `/tmp/clustered-cache-${uid}-guests`;
  mkdirSync(squatted);
  t.teardown(() => rmSync(squatted, { recursive: true, force: true }));
  const primary = 'new cc.ClusteredCache({ allowUids: [1] });';
  const worker = "await new cc.ClusteredCache({ timeout: 1000, failsafe: 'reject' }).get('key');";
  const outcome = await clustered(t, { primary, worker }, { uid, env: { ...NO_SESSION, TMPDIR: closed } });
  warnedOnly(t, outcome);
  t.regex(outcome.stdout, /^ERR_CC_NO_HOST /);
  for (const named of [`${closed} lets no other users pass`, `${squatted} belongs to user 0`, 'TMPDIR', 'allowUids']) {
    t.true(outcome.stdout.includes(named), `${named}: ${outcome.stdout}`);
  }
});

asRoot('a user with only a directory of its own can run a cluster', async (t) => {
  const uid = 1_000_000 + randomInt(1_000_000);
  const own = path.join(publicDirectory(t), 'run');
  mkdirSync(own, { mode: 0o700 });
  chownSync(own, uid, uid);
  for (const env of [
    { XDG_RUNTIME_DIR: own, TMPDIR: '/proc' },
    { ...NO_SESSION, TMPDIR: own },
  ]) {
    t.like(await clustered(t, WORKS, { uid, env }), { ...CLEAN, stdout: 'true\n' });
    t.is(lstatSync(own).uid, uid);
  }
});

asRoot('workers of another user are refused at once, and the error names both users', async (t) => {
  const outcome = await clustered(t, {
    primary: `new cc.ClusteredCache(); cluster.setupPrimary({ uid: ${FOREIGN_UID}, gid: ${FOREIGN_UID} })`,
    worker: `
      const lenient = new cc.ClusteredCache({ timeout });
      const start = performance.now();
      console.log(await lenient.get('key'), await lenient.set('key', 1));
      const strict = new cc.ClusteredCache({ timeout, failsafe: 'reject' });
      await strict.get('key').catch(told);
      await strict.ready.catch(told);
      await lenient.incr('n').catch(told);
      if (performance.now() - start > timeout / 2) console.log('waited');`,
  });
  warnedOnly(t, outcome);
  const [lenient, ...refusals] = outcome.stdout.trim().split('\n');
  t.is(lenient, 'undefined false');
  t.is(refusals.length, 3, outcome.stdout);
  for (const refusal of refusals) {
    t.regex(refusal, new RegExp(`^ERR_CC_FOREIGN_PEER .*user 0, .*user ${FOREIGN_UID}: .*same user.*allowUids`));
  }
});

asRoot('a helper of another user is refused in the same way', async (t) => {
  const file = path.join(publicDirectory(t), 'helper.cjs');
  writeFileSync(
    file,
    `const cc = require(${JSON.stringify(`${ROOT}index.js`)});
    new cc.ClusteredCache({ attach: true, timeout: ${DEADLINE}, failsafe: 'reject' }).get('key')
      .catch(({ code, message }) => console.log(code, message));`,
    { mode: 0o644 },
  );
  const outcome = await script(
    `require('node:child_process').fork(${JSON.stringify(file)}, { uid: ${FOREIGN_UID}, gid: ${FOREIGN_UID} });`,
  );
  warnedOnly(t, outcome);
  t.regex(outcome.stdout, new RegExp(`^ERR_CC_FOREIGN_PEER .*user 0, .*user ${FOREIGN_UID}`));
});

test.serial('a process that may not load addons is told which flag allows them', async (t) => {
  const load = `try { require(${JSON.stringify(ROOT)}) } catch ({ code, message }) { console.log(code, message) }`;
  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  for (const flags of [['--no-addons'], [permission, '--allow-fs-read=*']]) {
    const { stdout } = await node([...flags, '--no-warnings', '-e', load]);
    t.regex(stdout, /^ERR_CC_NATIVE_MISSING .*--allow-addons/, flags.join(' '));
  }
});
