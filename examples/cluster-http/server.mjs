// An HTTP server on every core, and one cache for all of them.
//
//   node examples/cluster-http/server.mjs          PORT and WORKERS are read from the environment
//   curl http://localhost:3000/countries/PT
//
// GET /countries/:code   a country, loaded once for the whole cluster, by the worker that is asked first
// GET /report            counters of the whole cluster
//
// A client that names itself in x-client may send LIMIT requests a minute, however they are spread over the workers.

import cluster from 'node:cluster';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { availableParallelism } from 'node:os';
import { ClusteredCache } from 'clustered-cache';

const PORT = Number(process.env.PORT ?? 3000);
const WORKERS = Number(process.env.WORKERS ?? Math.max(2, availableParallelism()));
const LIMIT = Number(process.env.LIMIT ?? 500);
const MINUTE = 60_000;

if (cluster.isPrimary) await startWorkers();
else serve();

async function startWorkers() {
  // The primary owns the data, in Rust and on threads of its own: it answers even while this process is busy.
  ClusteredCache.bootstrap();
  const workers = Array.from({ length: WORKERS }, () => cluster.fork());
  const addresses = await Promise.all(workers.map((worker) => once(worker, 'listening')));
  console.log(`${WORKERS} workers on http://localhost:${addresses[0][0].port}`);
  // The workers stop listening and exit; after the last one has ended, the primary ends by itself.
  process.once('SIGTERM', () => cluster.disconnect());
}

function serve() {
  const countries = new ClusteredCache({
    namespace: 'countries',
    max: 1_000,
    ttl: 60 * MINUTE,
    cacheNull: true,
  });
  const clients = new ClusteredCache({ namespace: 'clients', max: 100_000 });
  const counters = new ClusteredCache({ namespace: 'counters' });

  /** The record from the file, or null, which is cached too: an unknown code costs one read. */
  async function loadCountry(code) {
    await counters.incr(`loads:${code}`);
    const lines = (await readFile(new URL('countries.jsonl', import.meta.url), 'utf8')).trim().split('\n');
    return lines.map((line) => JSON.parse(line)).find((country) => country.code === code) ?? null;
  }

  /** Milliseconds until the client may send the next request; 0 when it may now. */
  async function mustWait(client) {
    if (client === undefined) return 0;
    // One atomic step in the host. The time to live is set by the first request of a minute and not extended by others.
    const { value, remainingTTL } = await clients.count(client, 1, { ttl: MINUTE });
    return value > LIMIT ? remainingTTL : 0;
  }

  async function answer(request) {
    const [, resource, code] = request.url.split('/');
    if (resource === 'report') return { status: 200, body: await report() };
    if (resource !== 'countries' || !code) return { status: 404, body: { error: 'try /countries/PT' } };

    // Sent together, these three take one round trip to the host.
    const [wait] = await Promise.all([
      mustWait(request.headers['x-client']),
      counters.incr('requests'),
      counters.incr(`worker:${cluster.worker.id}`),
    ]);
    if (wait > 0) {
      const headers = { 'retry-after': String(Math.ceil(wait / 1_000)) };
      return { status: 429, body: { error: 'too many requests' }, headers };
    }

    const country = await countries.fetch(code, loadCountry);
    return country
      ? { status: 200, body: country }
      : { status: 404, body: { error: `no country has the code ${code}` } };
  }

  async function report() {
    const [requests, workers, loads, stats] = await Promise.all([
      counters.get('requests'),
      counters.entries({ prefix: 'worker:' }),
      counters.entries({ prefix: 'loads:' }),
      countries.stats(),
    ]);
    return { requests, workers: Object.fromEntries(workers), loads: Object.fromEntries(loads), stats };
  }

  createServer(async (request, response) => {
    const { status, body, headers } = await answer(request).catch(unavailable);
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  }).listen(PORT);
}

/** Each service decides how it continues when the cache cannot be reached. */
function unavailable(error) {
  return { status: 503, body: { error: error.message }, headers: {} };
}
