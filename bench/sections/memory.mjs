// What the data takes in the host, and what this package takes in a worker.

import { Team } from '../lib/team.mjs';
import { median } from '../lib/statistics.mjs';
import { megabytes, table } from '../lib/table.mjs';

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
    workers: WORKERS,
    connected: false,
    execArgv: ['--expose-gc'],
  });
  try {
    const bare = await team.workers('resident');
    await team.workers('connect', { contender: 'clustered-cache', addresses: {} });
    const loaded = await team.workers('resident');
    await team.workers('look', { entries: 1, count: 0 });
    const before = await team.primary('resident');

    const entries = Math.floor(DATA / bytes);
    for (let index = 0; index < WORKERS; index++) {
      // One worker after the other: the last one's buffers are what all of them need.
      const [from, to] = [index, index + 1].map((part) => Math.floor((entries * part) / WORKERS));
      await team.worker(index, 'store', { from, to, bytes });
    }
    const after = await team.primary('resident');
    const stored = await team.workers('resident');
    await team.workers('look', { entries, count: READS });
    const used = await team.workers('resident');

    let data = 0;
    for (let index = 0; index < entries; index++) data += bytes + `memory:${index}`.length;
    const above = (now) => median(now.map((value, index) => value - bare[index]));
    return {
      bytes,
      entries,
      data,
      host: { before, after, grown: after - before, ofData: (after - before) / data },
      worker: { bare: median(bare), loaded: above(loaded), stored: above(stored), used: above(used) },
    };
  } finally {
    await team.end();
  }
}

export function showMemory(results) {
  console.log(`\nMemory, ${WORKERS} workers (resident; a worker's share above the same process without the package)`);
  const rows = results.map(({ bytes, data, host, worker }) => [
    `${megabytes(data)} in values of ${bytes} B`,
    megabytes(host.grown),
    `${host.ofData.toFixed(2)}x`,
    megabytes(worker.loaded),
    megabytes(worker.stored),
    megabytes(worker.used),
  ]);
  const head = ['', 'host', 'of data', 'worker, connected', `... after its sets`, `... after ${READS} gets`];
  console.log(table([head, ...rows]));
}
