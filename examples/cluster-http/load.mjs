// Puts server.mjs under load, then checks what the cluster did against what it was asked: `npm run demo`.
//
// Two loads at once: many well-behaved clients that ask for every country, and one client that ignores its limit.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import autocannon from 'autocannon';

const REQUESTS = Number(process.env.REQUESTS ?? 60_000);
const CONNECTIONS = 64;
const GREEDY_REQUESTS = 2_000;
const LIMIT = 500;
const TO_END = 10_000;

const codes = (await readFile(new URL('countries.jsonl', import.meta.url), 'utf8'))
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line).code);

const server = await startServer();
try {
  console.log(
    `${server.greeting}, ${CONNECTIONS} connections, ${number(REQUESTS)} requests for ${codes.length} countries\n`,
  );
  const [load, greedy] = await Promise.all([
    fire({ connections: CONNECTIONS, amount: REQUESTS, requests: everyCountry() }),
    fire({ connections: 16, amount: GREEDY_REQUESTS, requests: [ask(codes[0], 'greedy')] }),
  ]);
  const report = await (await fetch(`${server.url}/report`)).json();
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
      const late = AbortSignal.timeout(TO_END);
      const [code, signal] = await Promise.race([ended, once(late, 'abort').then(() => [`nothing in ${TO_END} ms`])]);
      if (code !== 0 && process.platform !== 'win32') throw new Error(`the server ended with ${signal ?? code}`);
    },
  };
}

/** One request of one client. */
function ask(code, client) {
  return { path: `/countries/${code}`, headers: { 'x-client': client } };
}

/** All countries over and over, by so many clients that each stays far below its limit. */
function everyCountry() {
  const clients = Math.max(500, Math.ceil(REQUESTS / 200));
  return Array.from({ length: clients }, (_, index) => ask(codes[index % codes.length], `client ${index}`));
}

/** Runs autocannon to its end; resolves to the answers by status and the time of each. */
async function fire(options) {
  const start = performance.now();
  let end = start;
  const times = [];
  const run = autocannon({ url: server.url, ...options });
  run.on('response', (_client, _status, _bytes, time) => {
    times.push(time);
    end = performance.now();
  });
  const { errors, timeouts, statusCodeStats } = await run;
  const answers = (status) => statusCodeStats[status]?.count ?? 0;
  times.sort((a, b) => a - b);
  return {
    lost: errors + timeouts,
    answers,
    rate: times.length / ((end - start) / 1_000),
    percentile: (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))],
  };
}

/** Prints what happened; resolves to whether it is what should have happened. */
function show(load, greedy, { requests, workers, loads, stats }) {
  const loaded = Object.values(loads);
  const total = REQUESTS + GREEDY_REQUESTS;
  const checks = [];
  const check = (what, found, right) => checks.push([what, found, right]);

  check(
    'answers',
    `${number(load.answers(200))} of ${number(REQUESTS)}`,
    load.answers(200) === REQUESTS && load.lost === 0,
  );
  check(
    'loader calls',
    `${loaded.reduce((sum, calls) => sum + calls, 0)} for ${codes.length} countries`,
    loaded.length === codes.length && loaded.every((calls) => calls === 1),
  );
  check('counter', `${number(requests)} of ${number(total)} requests`, requests === total);
  check(
    'greedy client',
    `${number(greedy.answers(200))} served, ${number(greedy.answers(429))} refused, limit ${LIMIT} a minute`,
    greedy.answers(200) === LIMIT && greedy.answers(429) === GREEDY_REQUESTS - LIMIT,
  );

  for (const [name, count] of Object.entries(workers).sort()) {
    row(name.replace(':', ' '), `${number(count)} requests`, `${((100 * count) / total).toFixed(1)} %`);
  }
  row('throughput', `${number(Math.round(load.rate))} requests/s`);
  row('latency', `p50 ${load.percentile(0.5).toFixed(1)} ms`, `p99 ${load.percentile(0.99).toFixed(1)} ms`);
  row('hit ratio', `${((100 * stats.hits) / (stats.hits + stats.misses)).toFixed(2)} %`);
  console.log();
  for (const [what, found, right] of checks) row(what, found, right ? 'exact' : 'WRONG');
  return checks.every(([, , right]) => right);
}

function row(name, value, note = '') {
  console.log(`  ${name.padEnd(16)}${value.padEnd(52)}${note}`.trimEnd());
}

function number(value) {
  return value.toLocaleString('en');
}
