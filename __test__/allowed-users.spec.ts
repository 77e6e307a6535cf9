// Clients that run as other users than their host: `allowUids`. Only root can start them.
import { lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ClusteredCache } from '../index.js';
import { type Agent, Agents, type RemoteError } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { Pm2 } from './helpers/daemon.ts';
import { directoryFor } from './helpers/directories.ts';
import { failsWith } from './helpers/errors.ts';
import { patient, unique } from './helpers/names.ts';
import { node } from './helpers/scripts.ts';
import { SHARED, TRANSPORT } from './helpers/transport.ts';
import { until } from './helpers/wait.ts';

const OWN = process.geteuid?.();
const isRoot = OWN === 0;
const asRoot: typeof test.serial = isRoot
  ? test.serial
  : (((title: string, body: never) =>
      test.serial.skip(`${title} (skipped: only root can start processes of other users)`, body)) as never);
const onUnix = OWN === undefined ? test.skip : test;
/** User ids that are not in use. */
const [GUEST, OTHER_GUEST, STRANGER] = [4_242_001, 4_242_002, 4_242_003];

let agents: Agents;
test.before(async () => {
  agents = await Agents.start({ forAllUsers: true });
});
test.after.always(() => agents?.close());

/** Makes the primary fork further workers as this user. */
const setUser = (primary: Agent, uid: number) =>
  primary.run(({ cluster }, uid) => cluster.setupPrimary({ uid, gid: uid }), uid);

/** A cluster whose primary allows these users and whose next workers run as the first of them. */
async function clusterFor(...allowUids: number[]): Promise<Cluster> {
  const cluster = await Cluster.start(agents, { workers: 0 });
  await cluster.primary.call({ namespace: unique(), allowUids }, 'size');
  await setUser(cluster.primary, allowUids[0]!);
  return cluster;
}

/** A helper that `parent` forks as this user. */
async function helperOf(parent: Agent, uid: number): Promise<Agent> {
  const { token, agent } = agents.expect();
  await parent.run((scope, ...args) => scope.forkHelper(...args), token, 'process.cjs' as const, {}, { uid, gid: uid });
  return agent;
}

const userOf = (agent: Agent) => agent.run(() => process.geteuid!());
const transportOf = (agent: Agent, options: object) =>
  agent.run(async ({ cache }, options) => {
    await cache(options).ready;
    return cache(options).transport;
  }, options);

/** Asserts that each sees the other's writes. */
async function share(t: ExecutionContext, one: Agent, other: Agent, options: object, theirs = options) {
  const key = unique('key');
  await one.call(options, 'set', key, { of: 'one' });
  t.deepEqual(await other.call(theirs, 'get', key), { of: 'one' });
  t.is(await other.call(theirs, 'set', key, ['of the other']), true);
  t.deepEqual(await one.call(options, 'get', key), ['of the other']);
}

/** The sockets of a process in directories for allowed users. */
const socketsOf = (agent: Agent) =>
  agent.run(async ({ require }) => {
    const { readFileSync, readdirSync, readlinkSync } = require('node:fs') as typeof import('node:fs');
    const own = new Set(
      readdirSync('/proc/self/fd').map((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`);
        } catch {
          return '';
        }
      }),
    );
    const lines = readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    return lines
      .filter(([, , , flags, , , inode]) => flags === '00010000' && own.has(`socket:[${inode}]`))
      .map(([, , , , , , , path]) => path!.replace(/t$/, 's'))
      .filter((path) => path.includes('-guests/'));
  });

asRoot('workers of an allowed user share the cache with the primary, whichever way they read', async (t) => {
  const cluster = await clusterFor(GUEST, OTHER_GUEST);
  const [first, second] = [await cluster.fork(), await cluster.fork()];
  const [{ primary }, options] = [cluster, patient()];
  t.deepEqual([await userOf(primary), await userOf(first), await userOf(second)], [0, GUEST, GUEST]);
  await share(t, primary, first, options);
  await share(t, first, second, options);
  for (const worker of [first, second]) t.is(await transportOf(worker, options), TRANSPORT);

  t.deepEqual([await first.call(options, 'incr', 'n'), await second.call(options, 'incr', 'n')], [1, 2]);
  t.is(await primary.call(options, 'incr', 'n'), 3);
  const loads = await Promise.all(
    [first, second, primary].map((agent) =>
      agent.run(({ cache }, options) => cache(options).fetch('loaded', () => process.pid), options),
    ),
  );
  t.is(new Set(loads).size, 1, 'loaded once');
  await first.call(options, 'mSet', [
    ['a', 1],
    ['b', 'two'],
  ]);
  t.deepEqual([...(await second.call(options, 'mGet', ['a', 'b', 'c'])).values()], [1, 'two', undefined]);
  t.is(await second.call(options, 'delete', 'a'), true);
  t.is(await first.call(options, 'has', 'a'), false);
  t.is((await second.call(options, 'stats')).clients, 2);
});

asRoot('the near cache of another user follows writes by the primary', async (t) => {
  const cluster = await clusterFor(GUEST);
  const worker = await cluster.fork();
  const options = { ...patient(), near: true };
  await cluster.primary.call(options, 'set', 'key', 'old');
  for (let round = 0; round < 3; round++) t.is(await worker.call(options, 'get', 'key'), 'old');
  t.is((await worker.call(options, 'stats')).near.hits > 0, SHARED);
  await cluster.primary.call(options, 'set', 'key', 'new');
  t.is(await worker.call(options, 'get', 'key'), 'new');
});

if (SHARED) {
  asRoot('another user reads the memory of a stopped primary, and cannot change it', async (t) => {
    const cluster = await clusterFor(GUEST);
    const worker = await cluster.fork();
    const options = patient();
    await cluster.primary.call(options, 'set', 'key', { is: 'there' });
    t.is(await transportOf(worker, options), 'shared');
    await cluster.primary.freeze();
    try {
      t.deepEqual(await worker.call(options, 'getSync', 'key'), { is: 'there' });
    } finally {
      cluster.primary.resume();
    }
    const maps = await worker.run(({ require }) => require('node:fs').readFileSync('/proc/self/maps', 'latin1'));
    const tables = maps.split('\n').filter((line: string) => line.includes('memfd:clustered-cache'));
    t.true(tables.length > 0);
    for (const line of tables) t.regex(line, / r--s /, 'mapped for reading');
  });
}

asRoot('in one cluster, users of several lists are allowed and all others refused', async (t) => {
  const cluster = await clusterFor(GUEST);
  const { primary } = cluster;
  const guest = await cluster.fork();
  const options = patient();
  await share(t, primary, guest, options);
  // The socket is open; the next list adds to it.
  await primary.call({ namespace: unique(), allowUids: [OTHER_GUEST, GUEST] }, 'size');
  await setUser(primary, OTHER_GUEST);
  await share(t, guest, await cluster.fork(), options);
  await setUser(primary, 0);
  const own = await cluster.fork();
  await share(t, guest, own, options);
  t.is(await transportOf(own, options), TRANSPORT);
  await setUser(primary, STRANGER);
  const stranger = await cluster.fork();
  const error = (await t.throwsAsync(stranger.call({ ...options, failsafe: 'reject' }, 'get', 'key'), {
    code: 'ERR_CC_FOREIGN_PEER',
  })) as RemoteError;
  t.regex(error.message, new RegExp(`user 0, .*user ${STRANGER}: .*same user.*allowUids: \\[${STRANGER}\\]`));
  t.is((await primary.call(options, 'stats')).clients, 3);
});

asRoot('a worker that asked before its user was allowed is served afterwards', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const { primary } = cluster;
  const options = patient();
  // A socket for the primary's own user is open already.
  await share(t, primary, cluster.worker(0), options);
  await setUser(primary, GUEST);
  const worker = await cluster.fork();
  await t.throwsAsync(worker.call({ ...options, failsafe: 'reject' }, 'set', 'key', 1), {
    code: 'ERR_CC_FOREIGN_PEER',
  });
  await primary.call({ namespace: unique(), allowUids: [GUEST] }, 'size');
  t.true(await until('the worker is served', () => worker.call(options, 'set', 'key', 1)));
  await share(t, cluster.worker(0), worker, options);
  // From the instance that was refused first.
  t.is(await worker.run(({ cache }, options) => cache(options).transport, options), TRANSPORT);
});

asRoot('a user who is not allowed is kept out by the directory, or by the host if that is open', async (t) => {
  const cluster = await clusterFor(GUEST);
  const worker = await cluster.fork();
  await worker.call(patient(), 'size');
  const [socket, ...more] = await socketsOf(cluster.primary);
  t.deepEqual(more, []);
  const home = path.dirname(socket!);
  t.deepEqual(readdirSync(home), ['s'], 'no secret lies there');
  t.is(lstatSync(path.dirname(home)).mode & 0o777, 0o711);
  t.is(lstatSync(home).mode & 0o066, 0, 'no other user can list or change it');
  t.deepEqual([lstatSync(home).uid, lstatSync(socket!).uid], [0, 0]);
  const connect = async (uid: number) => {
    const source = `
      const socket = require('node:net').connect(${JSON.stringify(socket)});
      socket.on('connect', () => { console.log('connected'); socket.write(Buffer.from([1, 0, 0, 0, 0])); });
      socket.on('data', (bytes) => console.log('heard', bytes.length));
      socket.on('error', ({ code }) => console.log(code));
      socket.on('close', () => console.log('closed'));`;
    return (await node(['-e', source], { uid, cwd: '/' })).stdout;
  };
  // Without access control lists in the file system, any user can reach the socket.
  if ((lstatSync(home).mode & 0o001) === 0) t.is(await connect(STRANGER), 'EACCES\nclosed\n');
  const { chmodSync } = await import('node:fs');
  chmodSync(home, 0o711);
  const heard = await connect(STRANGER);
  t.true(heard.startsWith('connected\n'), heard);
  t.false(heard.includes('heard'), 'not a word is said to another user');
  // An allowed user may connect; an invalid message then ends the connection.
  t.true((await connect(GUEST)).startsWith('connected\n'));
  t.is(await worker.call(patient(), 'set', 'key', 1), true);
});

asRoot('the socket for allowed users is removed at the end', async (t) => {
  const cluster = await clusterFor(GUEST);
  await (await cluster.fork()).call(patient(), 'size');
  const [socket] = await socketsOf(cluster.primary);
  t.true(lstatSync(socket!).isSocket());
  await cluster.primary.run(() => void setImmediate(() => process.exit(0)));
  await cluster.primary.gone;
  await until(
    'the directory is gone',
    () => !readdirSync(path.dirname(path.dirname(socket!))).includes(path.basename(path.dirname(socket!))),
  );
  t.throws(() => lstatSync(path.dirname(socket!)), { code: 'ENOENT' });
});

asRoot('helpers of allowed users attach, and so do their own helpers', async (t) => {
  const host = await agents.spawn();
  const plain = patient();
  const attached = { ...plain, attach: true };
  await host.call({ ...plain, allowUids: [GUEST] }, 'size');
  const guest = await helperOf(host, GUEST);
  await share(t, host, guest, plain, attached);
  t.is(await transportOf(guest, attached), TRANSPORT);
  const own = await helperOf(host, 0);
  await share(t, own, guest, attached);
  // Attached through a helper: as another user, and as the host's own user.
  for (const parent of [own, guest]) {
    const last = await helperOf(parent, GUEST);
    t.is(await userOf(last), GUEST);
    await share(t, host, last, plain, attached);
    t.is(await transportOf(last, attached), TRANSPORT);
  }
  const stranger = await helperOf(own, STRANGER);
  await t.throwsAsync(stranger.call({ ...attached, failsafe: 'reject' }, 'get', 'key'), {
    code: 'ERR_CC_FOREIGN_PEER',
    message: new RegExp(`user 0, .*user ${STRANGER}.*allowUids`),
  });
});

asRoot('workers of an allowed user join the cache that their primary has attached to', async (t) => {
  const host = await agents.spawn();
  const plain = patient();
  await host.call({ ...plain, allowUids: [GUEST] }, 'size');
  const { token, agent } = agents.expect();
  const environment = Cluster.environment({ load: 'after' });
  await host.run((scope, ...args) => scope.forkHelper(...args), token, 'primary.cjs' as const, environment);
  const primary = await agent;
  await setUser(primary, GUEST);
  const opened = primary.call({ ...plain, attach: true }, 'set', 'key', 1);
  const cluster = await Cluster.of(agents, primary, 1);
  await opened;
  t.is(await userOf(cluster.worker(0)), GUEST);
  await share(t, host, cluster.worker(0), plain);
  t.is(await transportOf(cluster.worker(0), plain), TRANSPORT);
});

asRoot('a process of a user who is not allowed is not told the secret', async (t) => {
  const host = await agents.spawn();
  await host.call({ ...patient(), allowUids: [GUEST] }, 'size');
  const answers: Record<string, unknown>[] = [];
  for (const uid of [GUEST, STRANGER]) {
    const helper = await helperOf(host, uid);
    await helper.run(({ state }) => {
      state.answers = [];
      process.on('message', (message: any) => state.answers.push(message['clustered-cache']));
    });
    await helper.call({ namespace: unique(), timeout: 1_000, attach: true }, 'get', 'key');
    answers.push(await helper.run(({ state }) => state.answers[0]));
  }
  const [guest, stranger] = answers;
  t.like(guest, { user: 0, allowedUsers: [GUEST], endpoint: stranger!.endpoint });
  t.regex(guest!.secret as string, /^[0-9a-f]{64}$/);
  t.like(stranger, { user: 0, allowedUsers: [GUEST] });
  t.false('secret' in stranger!);
});

asRoot('threads in a worker of an allowed user share the cache', async (t) => {
  const cluster = await clusterFor(GUEST);
  const worker = await cluster.fork();
  const options = patient();
  await cluster.primary.call(options, 'set', 'key', 'shared');
  await worker.call(options, 'size');
  const [value, transport] = await worker.run(
    ({ require }, root, options) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const source = `
        const { ClusteredCache } = require(${JSON.stringify(root)});
        const cache = new ClusteredCache(${JSON.stringify(options)});
        cache.get('key').then((value) => require('node:worker_threads').parentPort.postMessage([value, cache.transport]));`;
      return new Promise<unknown[]>((resolve, reject) => {
        new Worker(source, { eval: true }).once('message', resolve).once('error', reject);
      });
    },
    path.resolve(import.meta.dirname, '../index.js'),
    options,
  );
  t.deepEqual([value, transport], ['shared', TRANSPORT]);
});

asRoot('a TMPDIR that other users cannot enter is skipped', async (t) => {
  const closed = directoryFor(t);
  const cluster = await Cluster.start(agents, { workers: 0, env: { TMPDIR: closed } });
  const { primary } = cluster;
  const base = await primary.run(() => `/tmp/clustered-cache-${process.geteuid!()}-guests`);
  await primary.call({ namespace: unique(), allowUids: [GUEST] }, 'size');
  await setUser(primary, GUEST);
  const worker = await cluster.fork({ TMPDIR: '/tmp' });
  await share(t, primary, worker, patient());
  const [socket] = await socketsOf(primary);
  t.true(socket!.startsWith(base), socket);
});

onUnix('an invalid list of users is refused with name, value and what is allowed', async (t) => {
  const overflow = 65_534;
  for (const [allowUids, kind] of [
    [4_242, TypeError],
    ['4242', TypeError],
    [null, TypeError],
    [{ length: 1, 0: 1 }, TypeError],
    [new Set([1]), TypeError],
    [['4242'], TypeError],
    [[1, undefined], TypeError],
    // eslint-disable-next-line no-sparse-arrays -- a hole is not a user
    [[1, , 2], TypeError],
    [[-1], RangeError],
    [[1.5], RangeError],
    [[NaN], RangeError],
    [[2 ** 32 - 1], RangeError],
  ] as const) {
    const error = await failsWith(t, () => new ClusteredCache({ allowUids } as never), 'ERR_CC_INVALID_OPTION');
    t.true(error instanceof kind, String(error));
    t.regex(error.message, /allowUids.*allowed is an array of user ids, integers from 0 to 4294967294/);
  }
  await failsWith(
    t,
    () => new ClusteredCache({ allowUids: [overflow] }),
    'ERR_CC_INVALID_OPTION',
    /allowUids.* 65534.*another container/,
  );
  const many = Array.from({ length: 65 }, (_, index) => 1_000_000 + index);
  await failsWith(t, () => new ClusteredCache({ allowUids: many }), 'ERR_CC_INVALID_OPTION', /64 users at most/);
});

onUnix('a list may be empty, repeat a user, or contain the own user', async (t) => {
  for (const allowUids of [[], [OWN!], [GUEST, GUEST]]) {
    const cache = new ClusteredCache({ namespace: unique(), allowUids });
    t.is(await cache.set('key', 1), true);
    await cache.close();
  }
});

onUnix('allowUids is refused where it would have no effect, with what to do instead', async (t) => {
  const options = (more = {}) => ({ namespace: unique(), allowUids: [GUEST], ...more });
  const endpoint = path.join(directoryFor(t), 's');
  await failsWith(t, () => new ClusteredCache(options({ endpoint })), 'ERR_CC_INVALID_OPTION', /client.*`endpoint`/);
  const asHost = options({ endpoint, role: 'host' });
  await failsWith(t, () => new ClusteredCache(asHost), 'ERR_CC_INVALID_OPTION', /allowUids.*secret.*cache of the host/);
  t.throws(() => lstatSync(endpoint), { code: 'ENOENT' }, 'and no process listens there');
  await failsWith(t, ClusteredCache.listen({ allowUids: [GUEST] } as never), 'ERR_CC_INVALID_OPTION', /allowUids/);

  const cluster = await Cluster.start(agents, { workers: 1 });
  const refused = { code: 'ERR_CC_INVALID_OPTION' };
  await t.throwsAsync(cluster.worker(0).call(options(), 'size'), {
    ...refused,
    message: /allowUids.*primary.*workers/,
  });
  const helper = await cluster.forkHelper(cluster.primary);
  await t.throwsAsync(helper.call(options({ attach: true }), 'size'), { ...refused, message: /allowUids.*`attach`/ });
  const named = await agents.spawn('process.cjs', { env: { CLUSTERED_CACHE_ENDPOINT: endpoint } });
  await t.throwsAsync(named.call(options(), 'size'), { ...refused, message: /CLUSTERED_CACHE_ENDPOINT/ });
  // A worker with role 'host' is a host.
  t.is(await cluster.worker(0).call(options({ role: 'host' }), 'size'), 0);
});

onUnix('instances of a PM2 app refuse allowUids', async (t) => {
  const pm2 = new Pm2(agents);
  try {
    const app = await pm2.start({ instances: 1 });
    const options = { namespace: unique(), allowUids: [GUEST] };
    await t.throwsAsync((app.instances[0] as Agent).call(options, 'size'), {
      code: 'ERR_CC_INVALID_OPTION',
      message: /allowUids.*PM2/,
    });
  } finally {
    await pm2.close();
  }
});

(OWN === undefined ? test : test.skip)('on Windows it is refused', async (t) => {
  await failsWith(t, () => new ClusteredCache({ allowUids: [] }), 'ERR_CC_INVALID_OPTION', /allowUids.*Windows/);
});
