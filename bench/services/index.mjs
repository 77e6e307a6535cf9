// The resources that contenders need in addition to their own processes: a folder, a Redis server, the JSON daemon.
// Each is started when the first contender needs it, listens on a unix socket in that folder, and is ended by the run
// that started it.

import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const TO_START = 10_000;

/**
 * Starts the services in `needs`; a service that this machine does not have is returned under `missing`, with the
 * reason.
 */
export async function startServices(needs) {
  // The system's temporary folder: a socket's path must not be longer than some hundred bytes.
  const folder = await mkdtemp(join(tmpdir(), 'cc-bench-'));
  const services = { addresses: { folder }, versions: {}, missing: {}, end };
  const running = [];
  const clear = () => rmSync(folder, { recursive: true, force: true });
  async function end() {
    for (const child of running) {
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit');
        child.kill();
        await gone;
      }
    }
    clear();
  }
  process.once('exit', () => {
    for (const child of running) child.kill();
    clear();
  });
  // The default action would leave the services running.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

  try {
    if (needs.has('jsonDaemon')) running.push(await startJsonDaemon(folder, services));
    if (needs.has('redis')) {
      const server = await startRedis(folder, services);
      if (server) running.push(server);
    }
    return services;
  } catch (error) {
    await end();
    throw error;
  }
}

async function startJsonDaemon(folder, { addresses }) {
  addresses.jsonDaemon = join(folder, 'json.sock');
  const child = fork(fileURLToPath(new URL('json-daemon.mjs', import.meta.url)), [addresses.jsonDaemon]);
  await once(child, 'message', { signal: AbortSignal.timeout(TO_START) });
  return child;
}

async function startRedis(folder, { addresses, versions, missing }) {
  const path = join(folder, 'redis.sock');
  const options = { '--dir': folder, '--unixsocket': path, '--port': '0', '--save': '', '--appendonly': 'no' };
  const server = spawn('redis-server', Object.entries(options).flat(), { stdio: ['ignore', 'pipe', 'inherit'] });
  const failed = new Promise((resolve) => {
    server.once('error', (error) => resolve(error.code === 'ENOENT' ? 'redis-server is not installed' : error.message));
    server.once('exit', (code) => resolve(`redis-server ended with code ${code}`));
  });
  const accepting = await acceptsConnections(server, versions);
  if (!accepting) {
    missing.redis = await failed;
    return undefined;
  }
  addresses.redis = path;
  return server;
}

/** Resolves to `true` when the server is ready, to `false` when it ends before that. */
async function acceptsConnections(server, versions) {
  let accepting = false;
  for await (const line of createInterface({ input: server.stdout })) {
    versions.redisServer = /Redis version=([\d.]+)/.exec(line)?.[1] ?? versions.redisServer;
    accepting = /ready to accept connections/i.test(line);
    if (accepting) break;
  }
  // Later output is not needed, but must not fill the pipe.
  server.stdout.resume();
  return accepting;
}
