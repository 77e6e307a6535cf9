import { randomBytes, randomInt } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ClusteredCache } from '../index.js';
import { type Agent, Agents } from './helpers/agents.ts';
import { failsWith } from './helpers/errors.ts';
import { unique } from './helpers/names.ts';
import { node, script } from './helpers/scripts.ts';
import { until, within } from './helpers/wait.ts';

const isRoot = process.getuid?.() === 0;
const asRoot = isRoot ? test : test.skip;
/** The user `nobody`, which is certainly not the one that runs the tests. */
const FOREIGN_UID = 65_534;

let agents: Agents;
let directory: string;
test.before(async () => {
  agents = await Agents.start();
  directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'cc-security-')));
});
test.after.always(async () => {
  await agents?.close();
  rmSync(directory, { recursive: true, force: true });
});

const mode = (file: string): string => (lstatSync(file).mode & 0o777).toString(8);

/** A host at a socket of its own, in a directory of its own. */
async function host(socket = path.join(directory, unique('d'), 's')): Promise<{ agent: Agent; endpoint: string }> {
  const agent = await agents.spawn();
  const endpoint = await agent.run(async ({ cc, state }, socket) => {
    state.listener = await cc.ClusteredCache.listen({ endpoint: socket });
    return state.listener.endpoint;
  }, socket);
  return { agent, endpoint };
}

/** A client that reports every failure. */
const client = (t: ExecutionContext, endpoint: string, timeout = 10_000): ClusteredCache<string, unknown> => {
  const cache = new ClusteredCache<string, unknown>({ endpoint, namespace: unique(), timeout, failsafe: 'reject' });
  t.teardown(() => cache.close());
  return cache;
};

/** Everything a host says to these bytes until it hangs up. */
function converse(endpoint: string, bytes: Buffer | string): Promise<Buffer> {
  return within(
    new Promise((resolve) => {
      const heard: Buffer[] = [];
      const socket = net.connect(endpoint, () => socket.write(bytes));
      socket.on('data', (chunk) => heard.push(chunk));
      socket.on('error', () => {});
      socket.on('close', () => resolve(Buffer.concat(heard)));
    }),
    'the host hangs up',
  );
}

const framed = (payload: Buffer): Buffer => {
  const header = Buffer.alloc(4);
  header.writeUInt32LE(payload.length);
  return Buffer.concat([header, payload]);
};

test('a private endpoint is a 0700 directory with a 0600 socket and a 0600 secret, owned by this user', async (t) => {
  const agent = await agents.spawn();
  // A umask that removes no permissions must not make anything accessible.
  const endpoint = await agent.run(async ({ cc, state }) => {
    process.umask(0);
    state.listener = await cc.ClusteredCache.listen();
    return state.listener.endpoint;
  });
  const home = path.dirname(endpoint);
  t.is(mode(home), '700');
  t.is(mode(path.dirname(home)), '700');
  t.is(mode(endpoint), '600');
  t.true(lstatSync(endpoint).isSocket());
  const others = readdirSync(home).filter((name) => name !== path.basename(endpoint));
  t.true(
    others.some((name) => name.includes('secret')),
    others.join(),
  );
  for (const name of others) {
    t.is(mode(path.join(home, name)), '600', name);
    t.is(lstatSync(path.join(home, name)).uid, process.getuid!());
  }
});

test('a named endpoint is just as private', async (t) => {
  const { endpoint } = await host();
  t.is(mode(path.dirname(endpoint)), '700');
  t.is(mode(endpoint), '600');
  t.is(mode(`${endpoint}.secret`), '600');
  t.is(statSync(`${endpoint}.secret`).size, 32);
  await t.notThrowsAsync(client(t, endpoint).healthCheck());
});

test('a client with another secret is refused', async (t) => {
  const { agent, endpoint } = await host();
  const honest = client(t, endpoint);
  await honest.set('key', 1);
  writeFileSync(`${endpoint}.secret`, randomBytes(32), { mode: 0o600 });
  // The instances of one process share their connection, so a stranger is another process.
  const stranger = await agents.spawn();
  await t.throwsAsync(stranger.call({ endpoint, failsafe: 'reject' }, 'healthCheck'), {
    code: 'ERR_CC_AUTHENTICATION',
    message: /secret/,
  });
  t.is(await honest.get('key'), 1);
  t.true(agent.alive);
});

test('a secret of the wrong length or open to others is not used', async (t) => {
  for (const spoil of [
    (file: string) => writeFileSync(file, 'short'),
    (file: string) => chmodSync(file, 0o644),
    (file: string) => rmSync(file),
  ]) {
    const { endpoint } = await host();
    spoil(`${endpoint}.secret`);
    const error: any = await t.throwsAsync(client(t, endpoint, 300).healthCheck());
    t.regex(error.code, /^ERR_CC_(AUTHENTICATION|DIRECTORY|NO_HOST|SYSTEM)$/);
    t.true(error.message.length > 20);
  }
});

test('a squatter that does not know the secret learns nothing and is detected', async (t) => {
  const home = path.join(directory, unique('d'));
  mkdirSync(home, { mode: 0o700 });
  const endpoint = path.join(home, 's');
  writeFileSync(`${endpoint}.secret`, randomBytes(32), { mode: 0o600 });
  for (const answer of [
    framed(Buffer.concat([Buffer.from('CCHE\x01\0\0\0', 'latin1'), randomBytes(90)])),
    framed(randomBytes(60)),
    Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    Buffer.from([0xff, 0xff, 0xff, 0xff]),
  ]) {
    const heard: Buffer[] = [];
    const squatter = net.createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes) => {
        heard.push(bytes);
        socket.write(answer);
      });
    });
    await new Promise<void>((resolve) => squatter.listen(endpoint, resolve));
    const error: any = await t.throwsAsync(within(client(t, endpoint, 500).set('key', 'confidential'), 'refusal'));
    t.regex(error.code, /^ERR_CC_(AUTHENTICATION|PROTOCOL|PROTOCOL_VERSION|NO_HOST|LIMIT)$/);
    t.false(Buffer.concat(heard).includes('confidential'));
    // Node removes the socket's file with its server.
    squatter.close();
  }
});

test('an unknown protocol version is reported by both sides', async (t) => {
  const { endpoint } = await host();
  const hello = Buffer.alloc(60);
  hello.write('CCHE', 'latin1');
  hello.writeUInt16LE(999, 4);
  const refusal = await converse(endpoint, framed(hello));
  t.is(refusal.toString('latin1', 4, 8), 'CCHE');
  t.regex(refusal.toString('latin1'), /999/, 'the host names the version it was offered');

  const home = path.join(directory, unique('d'));
  mkdirSync(home, { mode: 0o700 });
  const strange = path.join(home, 's');
  writeFileSync(`${strange}.secret`, randomBytes(32), { mode: 0o600 });
  const answer = Buffer.alloc(40);
  answer.write('CCHE', 'latin1');
  answer.writeUInt16LE(999, 4);
  answer.writeUInt8(1, 8);
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => socket.end(framed(answer)));
  });
  await new Promise<void>((resolve) => server.listen(strange, resolve));
  t.teardown(() => server.close());
  await failsWith(t, client(t, strange).healthCheck(), 'ERR_CC_PROTOCOL_VERSION', /999/);
});

test('malformed, oversized and incomplete frames end their connection, and other clients continue', async (t) => {
  const { agent, endpoint } = await host();
  const cache = client(t, endpoint);
  await cache.set('key', 1);
  for (const bytes of [
    'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    randomBytes(1_000),
    Buffer.from([0xff, 0xff, 0xff, 0xff, 0]),
    framed(Buffer.alloc(0)),
    framed(Buffer.from('CCHE')),
    framed(randomBytes(200)),
    framed(Buffer.alloc(100_000)),
    Buffer.from([1]),
  ]) {
    await converse(endpoint, bytes);
    t.is(await cache.get('key'), 1);
  }
  t.true(agent.alive);
});

test('silent connections cannot lock out other clients', async (t) => {
  const { endpoint } = await host();
  const silent = Array.from({ length: 100 }, () => net.connect(endpoint).on('error', () => {}));
  t.teardown(() => silent.forEach((socket) => socket.destroy()));
  await until('connections', () => silent.every((socket) => !socket.connecting));
  t.is(await client(t, endpoint, 5_000).set('key', 1), true);
  await until('the silent are hung up on', () =>
    silent.every((socket) => socket.closed || socket.destroyed || socket.readableEnded),
  );
});

test('a directory that other users may enter is refused, not repaired', async (t) => {
  const open = path.join(directory, unique('d'));
  mkdirSync(open);
  chmodSync(open, 0o755);
  const error = await failsWith(
    t,
    ClusteredCache.listen({ endpoint: path.join(open, 's') }),
    'ERR_CC_DIRECTORY',
    /0?700|private|mode/,
  );
  t.true(error.message.includes(open));
  t.is(mode(open), '755');
});

test('a directory behind a symbolic link is refused', async (t) => {
  const [real, link] = [path.join(directory, unique('d')), path.join(directory, unique('l'))];
  mkdirSync(real, { mode: 0o700 });
  symlinkSync(real, link);
  await failsWith(t, ClusteredCache.listen({ endpoint: path.join(link, 's') }), 'ERR_CC_DIRECTORY');
  t.deepEqual(readdirSync(real), []);
});

asRoot('a directory of another user is refused', async (t) => {
  const foreign = path.join(directory, unique('d'));
  mkdirSync(foreign, { mode: 0o700 });
  const { chownSync } = await import('node:fs');
  chownSync(foreign, FOREIGN_UID, FOREIGN_UID);
  await failsWith(t, ClusteredCache.listen({ endpoint: path.join(foreign, 's') }), 'ERR_CC_DIRECTORY');
});

test('a path that is too long is refused with its length and the remedy', async (t) => {
  const long = path.join(directory, 'd'.repeat(100), 's');
  await failsWith(t, ClusteredCache.listen({ endpoint: long }), 'ERR_CC_PATH_TOO_LONG', /103/);
  await failsWith(t, async () => client(t, long, 200).healthCheck(), 'ERR_CC_PATH_TOO_LONG');
});

test('a second host at an endpoint in use is refused, and the first continues', async (t) => {
  const { endpoint } = await host();
  const cache = client(t, endpoint);
  await cache.set('key', 1);
  const second = await agents.spawn();
  await t.throwsAsync(
    second.run(async ({ cc }, endpoint) => void (await cc.ClusteredCache.listen({ endpoint })), endpoint),
    { message: /another host/ },
  );
  t.is(await cache.get('key'), 1);
});

asRoot('without a usable directory the error names every candidate, with the reason and the remedy', async (t) => {
  // A user id that is not in use, whose directory in the last resort was created by another user: this one.
  const uid = 1_000_000 + randomInt(1_000_000);
  const squatted = `/tmp/clustered-cache-${uid}`;
  mkdirSync(squatted);
  t.teardown(() => rmSync(squatted, { recursive: true }));
  const outcome = await script(
    `cc.ClusteredCache.listen().then(() => console.log('listening'), ({ code, message }) => console.log(code, message));`,
    { env: { TMPDIR: '/proc', XDG_RUNTIME_DIR: '/nonexistent' }, uid },
  );
  t.is(outcome.code, 0, outcome.stderr);
  t.regex(outcome.stdout, /^ERR_CC_DIRECTORY /);
  for (const named of ['/nonexistent', `/run/user/${uid}`, '/proc', squatted, 'TMPDIR', 'endpoint']) {
    t.true(outcome.stdout.includes(named), `${named}: ${outcome.stdout}`);
  }
  t.deepEqual(readdirSync(squatted), []);
});

asRoot('another user is kept out by the directory, or by the host if that is open', async (t) => {
  const { agent, endpoint } = await host();
  const connect = () =>
    node(
      [
        '-e',
        `
    const socket = require('node:net').connect(${JSON.stringify(endpoint)});
    socket.on('connect', () => { console.log('connected'); socket.write(Buffer.from([1, 0, 0, 0, 0])); });
    socket.on('data', (bytes) => console.log('heard', bytes.length));
    socket.on('error', ({ code }) => console.log(code));
    socket.on('close', () => console.log('closed'));
  `,
      ],
      { uid: FOREIGN_UID, cwd: '/' },
    );
  t.is((await connect()).stdout, 'EACCES\nclosed\n');
  for (let parent = path.dirname(endpoint); parent.startsWith(directory); parent = path.dirname(parent))
    chmodSync(parent, 0o755);
  chmodSync(endpoint, 0o666);
  const outcome = await connect();
  t.true(outcome.stdout.startsWith('connected\n'), outcome.stdout);
  t.false(outcome.stdout.includes('heard'), 'not a word is said to another user');
  t.true(agent.alive);
});
