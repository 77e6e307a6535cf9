import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { ClusteredCache } from '../index.js';
import { directoryFor } from './helpers/directories.ts';
import { Program } from './helpers/programs.ts';
import { cleanEnvironment, node, ROOT } from './helpers/scripts.ts';
import { DEADLINE, event, until } from './helpers/wait.ts';

const unix = process.platform === 'win32' ? test.skip : test;
const BIN = path.join(ROOT, 'bin.js');

const serve = (t: ExecutionContext, args: string[], env?: Record<string, string>) =>
  new Program(t, [BIN, 'serve', ...args], env);

/** Serves at an endpoint of the test's own; returns when clients can connect. */
async function served(t: ExecutionContext, more: string[] = [], env?: Record<string, string>) {
  const directory = directoryFor(t);
  const endpoint = path.join(directory, 'socket');
  const server = serve(t, ['--endpoint', endpoint, ...more], env);
  await server.logged('listening at');
  return { directory, endpoint, server };
}

function client<V = unknown>(t: ExecutionContext, endpoint: string, more: object = {}): ClusteredCache<string, V> {
  const cache = new ClusteredCache<string, V>({ endpoint, timeout: DEADLINE, ...more });
  t.teardown(() => cache.close());
  return cache;
}

// --- the command line ----------------------------------------------------------------------------------------------

test('--help shows every option and variable, --version the version', async (t) => {
  const help = await node([BIN, '--help']);
  t.like(help, { code: 0, stderr: '' });
  for (const word of ['--endpoint', '--max-entries', '--max-size', '--ttl', '--snapshot', '--snapshot-interval']) {
    t.true(help.stdout.includes(word), word);
    t.true(help.stdout.includes(`CLUSTERED_CACHE_${word.slice(2).replaceAll('-', '_').toUpperCase()}`), word);
  }
  t.true(help.stdout.split('\n').every((line) => line.length <= 120));
  t.is((await node([BIN, 'serve', '--help'])).stdout, help.stdout);
  const { version } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  t.like(await node([BIN, '--version']), { code: 0, stdout: `${version}\n`, stderr: '' });
});

test('an invalid command line exits with 2 and says what is allowed', async (t) => {
  const AT = ['--endpoint', '/nowhere/socket'];
  const cases: [string[], RegExp, Record<string, string>?][] = [
    [[], /command is missing; there is: serve/],
    [['host'], /no command host; there is: serve/],
    [['serve'], /--endpoint or CLUSTERED_CACHE_ENDPOINT/],
    [['serve', 'socket'], /no argument socket/],
    [['serve', '--port', '5'], /--port.*allowed are --endpoint, --max-entries/],
    [['serve', '--endpoint'], /--endpoint/],
    [['serve', ...AT, '--max-entries', '0'], /--max-entries is "0"; allowed is a positive integer/],
    [['serve', ...AT, '--max-entries', 'many'], /--max-entries is "many"; allowed is a positive integer/],
    [['serve', ...AT, '--max-size', '5 apples'], /--max-size is "5 apples"; allowed is a size such as/],
    [['serve', ...AT, '--max-size', '0mb'], /--max-size is "0mb"; allowed is a positive integer/],
    [['serve', ...AT, '--ttl', '-1'], /--ttl.*/],
    [['serve', ...AT, '--ttl=-1'], /--ttl is "-1"; allowed is a number of milliseconds/],
    [['serve', ...AT, '--snapshot-interval', '5000'], /--snapshot-interval needs --snapshot/],
    [['serve', ...AT, '--snapshot', 'x', '--snapshot-interval', '10'], /--snapshot-interval is "10"; allowed .* 1000/],
    [['serve', ...AT, '--log-level', 'loud'], /--log-level is "loud"; allowed is one of silent, error/],
    [['serve', ...AT, '--ready-fd', 'x'], /--ready-fd is "x"; allowed is the number/],
    [['serve', ...AT], /CLUSTERED_CACHE_MAX_ENTRIES is "-5"; allowed/, { CLUSTERED_CACHE_MAX_ENTRIES: '-5' }],
  ];
  for (const [args, message, env] of cases) {
    const outcome = await node([BIN, ...args], env ? { env } : {});
    t.like(outcome, { code: 2, stdout: '', hung: false }, args.join(' '));
    t.regex(outcome.stderr, message);
    t.regex(outcome.stderr, /--help/);
  }
});

unix('an endpoint that cannot be served exits with 1 and says why', async (t) => {
  const file = path.join(directoryFor(t), 'file');
  writeFileSync(file, 'no socket');
  const outcome = await node([BIN, 'serve', '--endpoint', file]);
  t.like(outcome, { code: 1, hung: false });
  t.regex(outcome.stderr, /not a socket.*\[ERR_CC_INVALID_OPTION\]/);
});

// --- serving -------------------------------------------------------------------------------------------------------

unix('the limits of the command line apply when clients give none', async (t) => {
  const { endpoint } = await served(t, ['--max-entries', '3', '--ttl', '600000', '--max-size', '1.5kb']);
  const cache = client(t, endpoint, { namespace: 'open' });
  await cache.mSet(['a', 'b', 'c', 'd'].map((key) => [key, 1]));
  t.is(await cache.size(), 3);
  t.deepEqual([await cache.max(), await cache.maxSize(), await cache.ttl()], [3, 1_536, 600_000]);
  const own = client(t, endpoint, { namespace: 'own', max: 5 });
  t.deepEqual([await own.max(), await own.maxSize(), await own.ttl()], [5, 1_536, 600_000]);
  const same = client(t, endpoint, { namespace: 'open', max: 4 });
  await same.ready;
  t.is(await same.max(), 4, 'a default conflicts with no client');
});

unix('every setting can be given by a variable, and options override variables', async (t) => {
  const directory = directoryFor(t);
  const endpoint = path.join(directory, 'socket');
  const env = {
    CLUSTERED_CACHE_ENDPOINT: endpoint,
    CLUSTERED_CACHE_MAX_ENTRIES: '7',
    CLUSTERED_CACHE_MAX_SIZE: '1MiB',
    CLUSTERED_CACHE_TTL: '5000',
    CLUSTERED_CACHE_SNAPSHOT: path.join(directory, 'snapshot'),
    CLUSTERED_CACHE_SNAPSHOT_INTERVAL: '1000',
    CLUSTERED_CACHE_LOG_LEVEL: 'info',
  };
  const server = serve(t, ['--ttl', '6000'], env);
  await server.logged('listening at');
  const cache = client(t, endpoint);
  t.deepEqual([await cache.max(), await cache.maxSize(), await cache.ttl()], [7, 2 ** 20, 6_000]);
  await until('a snapshot', () => existsSync(env.CLUSTERED_CACHE_SNAPSHOT));
});

unix('readiness is reported by a descriptor, by a message and in the log', async (t) => {
  const { server, endpoint } = await served(t, ['--ready-fd', '3']);
  await until('a line', () => server.ready !== '');
  t.is(server.ready, `ready ${endpoint}\n`);
  const child = new Program(t, [BIN, 'serve', '--endpoint', `${endpoint}-2`], {}, ['ignore', 'pipe', 'pipe', 'ipc']);
  t.deepEqual((await event(child.child, 'message'))[0], 'ready');
  child.child.send('shutdown');
  t.deepEqual(await child.end(), { code: 0, signal: null });
});

unix('the log has the chosen level', async (t) => {
  const { server, endpoint } = await served(t, ['--ready-fd', '3']);
  t.regex(server.stderr, /^\S+ info clustered-cache: listening at .*socket, process \d+\n$/);
  const quiet = serve(t, ['--endpoint', `${endpoint}-2`, '--log-level', 'warn', '--ready-fd', '3']);
  await until('a line', () => quiet.ready !== '');
  await quiet.end('SIGTERM');
  t.is(quiet.stderr + quiet.stdout, '');
  const failing = serve(t, ['--endpoint', ROOT, '--log-level', 'silent']);
  t.deepEqual(await failing.end(), { code: 1, signal: null });
  t.is(failing.stderr, '');
  const often = ['--snapshot', `${endpoint}-snapshot`, '--snapshot-interval', '1000'];
  await serve(t, ['--endpoint', `${endpoint}-4`, '--log-level', 'debug', ...often]).logged(
    'debug clustered-cache: the',
  );
  const unwritable = serve(t, ['--endpoint', `${endpoint}-3`, '--log-level', 'warn', '--snapshot', '/nowhere/at/all']);
  await unwritable.logged('warn clustered-cache: the snapshot /nowhere/at/all cannot be written');
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  unix(`${signal} makes it exit with 0; its clients are told and no files are left`, async (t) => {
    const { server, endpoint } = await served(t);
    const cache = client(t, endpoint, { timeout: 500 });
    await cache.set('key', 1);
    const degraded = event(cache as never, 'degraded');
    t.deepEqual(await server.end(signal), { code: 0, signal: null });
    await degraded;
    t.false(existsSync(endpoint));
  });
}

unix('clients that were started first wait and connect', async (t) => {
  const endpoint = path.join(directoryFor(t), 'socket');
  const early = client(t, endpoint);
  const stored = early.set('key', 'early');
  const server = serve(t, ['--endpoint', endpoint]);
  t.is(await stored, true);
  t.is(await client(t, endpoint).get('key'), 'early');
  await server.logged('listening at');
  await early.close();
});

unix('a snapshot carries the content over a restart', async (t) => {
  const { directory, endpoint, server } = await served(t);
  await server.end('SIGTERM');
  const again = ['--endpoint', endpoint, '--snapshot', path.join(directory, 'snapshot')];
  const first = serve(t, again);
  const cache = client(t, endpoint);
  await cache.set('key', { deep: [1] });
  t.is((await first.end('SIGINT')).code, 0);
  await first.logged('the snapshot was written: 1 entries');
  const second = serve(t, again);
  await second.logged('the snapshot had 1 entries');
  t.deepEqual(await cache.get('key'), { deep: [1] }, 'the same client is connected again');
  // While there is still a host to release the instance at.
  await cache.close();
});

unix('a second server waits until the first has ended, and continues with its content', async (t) => {
  const directory = directoryFor(t);
  const endpoint = path.join(directory, 'socket');
  const args = ['--endpoint', endpoint, '--snapshot', path.join(directory, 'snapshot')];
  const first = serve(t, args);
  const cache = client<number>(t, endpoint);
  await cache.set('key', 1);
  const second = serve(t, args);
  await second.logged('another host listens');
  await cache.set('key', 2);
  t.is((await first.end('SIGTERM')).code, 0);
  await second.logged('listening at');
  t.is(await cache.get('key'), 2);

  const third = serve(t, args);
  await third.logged('another host listens');
  t.deepEqual(await third.end('SIGTERM'), { code: 0, signal: null }, 'also while it waits');
  t.is(await cache.get('key'), 2);

  const fourth = serve(t, args);
  await fourth.logged('another host listens');
  await second.end('SIGKILL');
  await fourth.logged('listening at');
  t.is(await cache.get('key'), undefined, 'after a crash there is nothing');
  await cache.close();
});

unix('the program runs by its name in a project', async (t) => {
  const { bin } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const program = path.join(ROOT, bin['clustered-cache']);
  const env = { PATH: `${path.dirname(process.execPath)}:${cleanEnvironment().PATH}` };
  const shown = await promisify(execFile)(program, ['--version'], { env });
  t.regex(shown.stdout, /^\d+\.\d+\.\d+/);
});
