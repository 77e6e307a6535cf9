import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { Agents, type Scope } from './helpers/agents.ts';
import { directoryFor } from './helpers/directories.ts';
import { ROOT, node } from './helpers/scripts.ts';
import { until } from './helpers/wait.ts';

const onUnix = process.platform === 'win32' ? test.skip : test;

let agents: Agents;
test.before(async () => {
  agents = await Agents.start();
});
test.after.always(() => agents?.close());

/** A cluster whose primary forks a worker, removes what `gone` names, and forks another one. */
const CLUSTER = `
  const cluster = require('node:cluster');
  const fs = require('node:fs');
  const { ClusteredCache } = require(process.argv[2]);
  const open = () => new ClusteredCache({ namespace: 'r', timeout: 20_000 });
  let cache = open();
  const answer = (worker) =>
    new Promise((resolve) => {
      const onMessage = ({ answer }) => answer !== undefined && (worker.off('message', onMessage), resolve(answer));
      worker.on('message', onMessage);
    });
  if (cluster.isPrimary) {
    (async () => {
      const worker = cluster.fork();
      const answers = [await answer(worker)];
      const removed = process.argv[3];
      fs.rmSync(removed, { recursive: true });
      if (process.argv[4] === 'blocked') fs.writeFileSync(removed, '');
      answers.push(await answer(cluster.fork()));
      worker.send('again');
      answers.push(await answer(worker), await answer(worker));
      console.log(JSON.stringify(answers));
      process.exit();
    })();
  } else {
    const count = () => cache.incr('n').then((answer) => process.send({ answer }), ({ code }) => process.send({ answer: code }));
    process.on('message', async (told) => {
      if (told !== 'again') return;
      count();
      // What is opened later looks for the host itself.
      await cache.close();
      cache = open();
      count();
    });
    count();
  }
`;

for (const [what, below, blocked] of [
  ["the session's directory", '.', ''],
  ["the host's directory", 'clustered-cache', ''],
  ["the session's directory, for good", '.', 'blocked'],
] as const) {
  onUnix(`workers find their primary after ${what} was removed, and connected ones stay`, async (t) => {
    const here = directoryFor(t);
    const runtime = path.join(here, 'run');
    mkdirSync(runtime, { mode: 0o700 });
    const file = path.join(here, 'app.cjs');
    writeFileSync(file, CLUSTER);
    const outcome = await node([file, `${ROOT}index.js`, path.join(runtime, below), blocked], {
      env: { XDG_RUNTIME_DIR: runtime, TMPDIR: here },
      ms: 60_000,
    });
    t.is(outcome.stdout, '[1,2,3,4]\n', outcome.stderr);
  });
}

/** Becomes the host at `endpoint`; run in a process. */
async function host({ cc, state }: Scope, endpoint: string): Promise<void> {
  state.cache = new cc.ClusteredCache({ namespace: 'r', role: 'host', endpoint });
  await state.cache.ready;
}

/** Counts as a client at `endpoint`; run in a process. */
async function count({ cc, state }: Scope, endpoint: string): Promise<number> {
  state.cache ??= new cc.ClusteredCache({ namespace: 'r', endpoint, timeout: 20_000 });
  return state.cache.incr('n');
}

onUnix('clients find a host at an endpoint again after its files were removed', async (t) => {
  const directory = path.join(directoryFor(t), 'run');
  const endpoint = path.join(directory, 's');
  const [server, before] = [await agents.spawn(), await agents.spawn()];
  await server.run(host, endpoint);
  t.is(await before.run(count, endpoint), 1);
  let n = 1;
  for (const removed of [directory, endpoint, `${endpoint}.secret`]) {
    rmSync(removed, { recursive: true });
    await until(`${removed} to be back`, () => existsSync(endpoint) && existsSync(`${endpoint}.secret`));
    const after = await agents.spawn();
    t.is(await after.run(count, endpoint), ++n, removed);
    t.is(await before.run(count, endpoint), ++n, removed);
  }
});

onUnix('clients go to the host that has taken the endpoint after its files were removed', async (t) => {
  const directory = path.join(directoryFor(t), 'run');
  const endpoint = path.join(directory, 's');
  const [first, second, client] = [await agents.spawn(), await agents.spawn(), await agents.spawn()];
  await first.run(host, endpoint);
  t.is(await client.run(count, endpoint), 1);
  await first.freeze();
  rmSync(directory, { recursive: true });
  await second.run(host, endpoint);
  await first.resume();
  await client.run(async ({ state }) => {
    const asked = () => state.cache.get('n').then((n: unknown) => n === undefined);
    while (!(await asked())) await new Promise((resolve) => setImmediate(resolve));
  });
  t.is(await client.run(count, endpoint), 1, 'it is the content of the other host');
});
