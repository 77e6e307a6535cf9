// Puts server.mjs under load, then compares the cluster's report with the requests: `npm run demo`.
//
// Two loads at once: many well-behaved clients that ask for every country, and one client that ignores its limit.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import autocannon from 'autocannon';

const GROUPS = 8;
const REQUESTS = 60_000;
const CONNECTIONS = 64;
const GREEDY_REQUESTS = 2_000;
const LIMIT = 500;
const CLIENTS = 500;

/** Milliseconds without progress after which the demo fails. */
const PATIENCE = 10_000;

const codes = (await readFile(new URL('countries.jsonl', import.meta.url), 'utf8'))
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line).code);

/** The answers, and their times. */
class Load {
  answers = { 200: 0, 429: 0 };
  #times = [];
  #start = performance.now();
  #end = this.#start;

  /** Starts autocannon; returns its event emitter, which is also a promise for its end. */
  fire(options) {
    const run = autocannon({ url: server.url, ...options });
    run.on('response', (_client, status, _bytes, time) => {
      this.answers[status] = (this.answers[status] ?? 0) + 1;
      this.#times.push(time);
      this.#end = performance.now();
    });
    return run;
  }

  get rate() {
    return this.#times.length / ((this.#end - this.#start) / 1_000);
  }

  /** Milliseconds within which this share of the answers arrived. */
  percentile(share) {
    return this.#times.sort((a, b) => a - b)[Math.ceil(this.#times.length * share) - 1];
  }
}

const server = await startServer();
try {
  console.log(
    `${server.greeting}, ${CONNECTIONS} connections, ${number(REQUESTS)} requests for ${codes.length} countries\n`,
  );
  const [load, greedy] = [new Load(), new Load()];
  await Promise.all([
    crowd(load),
    greedy.fire({ connections: 16, amount: GREEDY_REQUESTS, requests: [ask(codes[0], 'greedy')] }),
  ]);
  const answer = await fetch(`${server.url}/report`);
  /** @type {any} */
  const report = await answer.json();
  await server.stop();
  process.exitCode = show(load, greedy, report) ? 0 : 1;
} finally {
  server.kill();
}

/** Starts the server as a user would, and waits for its first line. */
async function startServer() {
  const child = fork(new URL('server.mjs', import.meta.url), {
    env: { ...process.env, PORT: '0', LIMIT: String(LIMIT) },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const [greeting] = await Promise.race([
    once(lines, 'line'),
    ended.then(([code]) => Promise.reject(new Error(`the server ended with code ${code} before it listened`))),
  ]);
  return {
    greeting,
    url: /http:\S+/.exec(greeting)[0],
    kill: () => child.kill('SIGKILL'),
    async stop() {
      child.kill('SIGTERM');
      child.disconnect();
      const late = AbortSignal.timeout(PATIENCE);
      const [code, signal] = await Promise.race([ended, once(late, 'abort').then(() => [`nothing in ${PATIENCE} ms`])]);
      if (code !== 0 && process.platform !== 'win32') throw new Error(`the server ended with ${signal ?? code}`);
    },
  };
}

/** One request of one client. */
function ask(code, client) {
  return { path: `/countries/${code}`, headers: { 'x-client': client } };
}

/** Requests all countries repeatedly in a random order, by so many clients that each stays far below its limit. */
function everyCountry() {
  const requests = Array.from({ length: CLIENTS }, (_, index) => ask(codes[index % codes.length], `client ${index}`));
  const places = new Map(requests.map((request) => [request, Math.random()]));
  return requests.sort((a, b) => places.get(a) - places.get(b));
}

/** Opens all connections, a few at a time: in one burst, the quickest worker would get most of them. */
async function crowd(load) {
  const runs = [];
  for (let group = 0; group < GROUPS; group += 1) {
    const run = load.fire({
      connections: CONNECTIONS / GROUPS,
      amount: REQUESTS / GROUPS,
      setupClient: (client) => client.setRequests(everyCountry()),
    });
    await once(run, 'response', { signal: AbortSignal.timeout(PATIENCE) });
    runs.push(run);
  }
  await Promise.all(runs);
}

/** Prints the results; resolves to whether they are as expected. */
function show(load, greedy, { requests, workers, loads, stats }) {
  const total = REQUESTS + GREEDY_REQUESTS;
  const loaded = Object.values(loads);
  const calls = loaded.reduce((sum, count) => sum + count, 0);
  const { hits, fetches } = stats;
  const fetched = REQUESTS + LIMIT;

  for (const [name, count] of Object.entries(workers).sort()) {
    row(name.replace(':', ' '), `${number(count)} requests`, percent(count, total));
  }
  row('throughput', `${number(Math.round(load.rate))} requests/s`);
  row('latency', `p50 ${load.percentile(0.5).toFixed(1)} ms, p99 ${load.percentile(0.99).toFixed(1)} ms`);
  row('hit ratio', `${number(hits)} of ${number(fetched)} from the cache`, percent(hits, fetched));
  row('', `${number(fetches.waits)} waited while another loaded`, percent(fetches.waits, fetched));
  console.log();

  const checks = [
    ['answers', load.answers[200] === REQUESTS, `${number(load.answers[200])} of ${number(REQUESTS)}`],
    [
      'loader calls',
      loaded.length === codes.length && calls === codes.length && fetches.leads === calls,
      `${calls} for ${codes.length} countries`,
    ],
    ['counter', requests === total, `${number(requests)} of ${number(total)} requests`],
    [
      'greedy client',
      greedy.answers[200] === LIMIT && greedy.answers[429] === GREEDY_REQUESTS - LIMIT,
      `${number(greedy.answers[200])} served, ${number(greedy.answers[429])} refused, limit ${LIMIT} a minute`,
    ],
  ];
  for (const [what, right, found] of checks) row(what, found, right ? 'exact' : 'WRONG');
  return checks.every(([, right]) => right);
}

function row(name, value, note = '') {
  console.log(`  ${name.padEnd(16)}${value.padEnd(46)}${note}`.trimEnd());
}

function percent(part, whole) {
  return `${((100 * part) / whole).toFixed(1)} %`;
}

function number(value) {
  return value.toLocaleString('en');
}
