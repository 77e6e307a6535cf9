// The memory that the data takes in the host, and that this package takes in a worker.

import { Team } from '../support/team.mjs';
import { median } from '../support/statistics.mjs';
import { megabytes, table } from '../support/table.mjs';

const CONTENDER = 'shared';
const WORKERS = 8;
const DATA = 200 * 1024 ** 2;
const READS = 5_000;

export async function measureMemory({ memory, log }) {
  const results = [];
  for (const bytes of memory) {
    log(`  ${DATA / 1024 ** 2} MiB in strings of ${bytes} B, ${WORKERS} workers`, true);
    results.push(await measureSize(bytes));
  }
  return results;
}

async function measureSize(bytes) {
  const team = await Team.start({
    contender: CONTENDER,
    // A ninth worker fills the cache, so that its buffers are not counted as those of a reader.
    workers: WORKERS + 1,
    connected: false,
    execArgv: ['--expose-gc'],
  });
  /** The host and all workers: the eight and the one that fills, whose share of the common memory counts. */
  const look = async () => {
    const [host, workers] = [await team.primary('resident'), await team.workers('resident')];
    return {
      host: host.own,
      common: workers.reduce((sum, { common }) => sum + common, host.common),
      workers: workers.slice(0, WORKERS).map(({ own }) => own),
    };
  };
  try {
    await team.workers('churn', { count: READS, bytes });
    const bare = await look();
    await team.workers('connect', { contender: CONTENDER, addresses: {} });
    const connected = await look();
    const entries = Math.floor(DATA / bytes);
    await team.worker(WORKERS, 'store', { entries, bytes });
    await team.workers('look', { entries, count: READS }, WORKERS);
    const used = await look();

    let data = 0;
    for (let index = 0; index < entries; index++) data += bytes + `memory:${index}`.length;
    const above = (now) => median(now.workers.map((value, index) => value - bare.workers[index]));
    const [own, common] = [used.host - connected.host, used.common - connected.common];
    return {
      bytes,
      entries,
      data,
      // Memory that all processes share exists once, and is counted here.
      host: { own, common, grown: own + common, ofData: (own + common) / data },
      worker: { bare: median(bare.workers), connected: above(connected), used: above(used) },
    };
  } finally {
    await team.end();
  }
}

export function showMemory(results) {
  console.log(
    `\nMemory with ${WORKERS} workers. Host: above itself without data, with the memory that all share, counted once.\n` +
      `Worker: its own, above itself before it loaded the package, when it had handled as many strings without it`,
  );
  const rows = results.map(({ bytes, data, host, worker }) => [
    `${megabytes(data)} in strings of ${bytes} B`,
    megabytes(host.own),
    megabytes(host.common),
    `${host.ofData.toFixed(2)}x`,
    megabytes(worker.connected),
    megabytes(worker.used),
  ]);
  const head = ['', "host's own", 'shared', 'together, of the data', 'worker, connected', `after ${READS} gets`];
  console.log(table([head, ...rows]));
}
