// What the data takes in the host, and what this package takes in a worker.

import { Team } from '../support/team.mjs';
import { median } from '../support/statistics.mjs';
import { megabytes, table } from '../support/table.mjs';

const WORKERS = 8;
const DATA = 200 * 1024 ** 2;
const READS = 5_000;

export async function measureMemory({ sizes, log }) {
  const results = [];
  for (const bytes of sizes) {
    log(`  ${DATA / 1024 ** 2} MiB in strings of ${bytes} B, ${WORKERS} workers`, true);
    results.push(await measureSize(bytes));
  }
  return results;
}

async function measureSize(bytes) {
  const team = await Team.start({
    contender: 'clustered-cache',
    // The one beyond the eight fills the cache, so that its buffers are not counted as those of a reader.
    workers: WORKERS + 1,
    connected: false,
    execArgv: ['--expose-gc'],
  });
  const residents = () => team.workers('resident', undefined, WORKERS);
  try {
    await team.workers('churn', { count: READS, bytes });
    const bare = await residents();
    await team.workers('connect', { contender: 'clustered-cache', addresses: {} });
    const connected = await residents();

    const before = await team.primary('resident');
    const entries = Math.floor(DATA / bytes);
    await team.worker(WORKERS, 'store', { entries, bytes });
    const after = await team.primary('resident');

    await team.workers('look', { entries, count: READS }, WORKERS);
    const used = await residents();

    let data = 0;
    for (let index = 0; index < entries; index++) data += bytes + `memory:${index}`.length;
    const above = (now) => median(now.map((value, index) => value - bare[index]));
    return {
      bytes,
      entries,
      data,
      host: { before, after, grown: after - before, ofData: (after - before) / data },
      worker: { bare: median(bare), connected: above(connected), used: above(used) },
    };
  } finally {
    await team.end();
  }
}

export function showMemory(results) {
  console.log(
    `\nMemory with ${WORKERS} workers. Host: above itself without data. Worker: above itself before it loaded the\n` +
      `package, when it had handled as many strings without it`,
  );
  const rows = results.map(({ bytes, data, host, worker }) => [
    `${megabytes(data)} in strings of ${bytes} B`,
    megabytes(host.grown),
    `${host.ofData.toFixed(2)}x`,
    megabytes(worker.connected),
    megabytes(worker.used),
  ]);
  const head = ['', 'host', 'of the data', 'worker, connected', `worker, after ${READS} gets`];
  console.log(table([head, ...rows]));
}
