// The benchmark: this package and its alternatives, side by side in one run. `npm run bench -- --help`.

import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { manifest, readJson, seconds } from '../scripts/support/project.mjs';
import { drawCharts } from './support/chart.mjs';
import { BEFORE, load } from './support/contender.mjs';
import { describeMachine, loadBefore } from './support/machine.mjs';
import { USAGE, parseOptions } from './support/options.mjs';
import { installRivals, rivalVersions } from './support/rivals.mjs';
import { judge, showTargets } from './support/targets.mjs';
import { checkCorrectness, withTeams } from './support/teams.mjs';
import { BLOCKABLE, measureBlocked, showBlocked } from './sections/blocked.mjs';
import { CHURNING, CHURN_WORKERS, measureChurn, showChurn } from './sections/churn.mjs';
import { GROWING, growthSpaces, measureGrowth, showGrowth } from './sections/growth.mjs';
import { KEEPING, keptSpaces, measureKept, showKept } from './sections/kept.mjs';
import { WORKERS as READING_WORKERS, measureLatency, showLatency } from './sections/latency.mjs';
import { measureLoad, showLoad } from './sections/load.mjs';
import { measureMemory, showMemory } from './sections/memory.mjs';
import { measureSizes, showSizes, sizeSets } from './sections/sizes.mjs';
import { measureThroughput, showThroughput } from './sections/throughput.mjs';
import { measureWorkers, showWorkers } from './sections/workers.mjs';
import { startServices } from './services/index.mjs';

const RESULTS = fileURLToPath(new URL('results/', import.meta.url));

/** Prints a line of progress; a transient line is overwritten by the next, and omitted without a terminal. */
function log(text, passes = false) {
  if (!process.stdout.isTTY) {
    if (!passes) console.log(text);
  } else if (passes) {
    process.stdout.write(`\r\x1b[2K${text.slice(0, process.stdout.columns - 1)}`);
  } else {
    console.log(`\r\x1b[2K${text}`);
  }
}

const endLine = () => process.stdout.isTTY && process.stdout.write('\r\x1b[2K');

async function main(args) {
  const options = parseOptions(args);
  if (!options) return console.log(USAGE);
  if (options.before) process.env.BENCH_BEFORE = options.before;
  const start = performance.now();
  await installRivals();
  const { rounds, timed, busy } = options;
  const results = {
    package: manifest.version,
    date: new Date().toISOString().slice(0, 10),
    machine: describeMachine(),
    loadBefore: loadBefore(),
    versions: rivalVersions(),
    settings: { rounds, timed, busy },
  };
  const { cpu, cores, system, node } = results.machine;
  console.log(`${cpu}, ${cores} cores, ${system}, Node.js ${node}, load ${results.loadBefore}`);
  if (results.loadBefore > cores / 2) {
    console.log('The machine is busy with something else: figures will be low, and vary. Quotients suffer least.');
  }

  await compare(options, results);
  if (options.sections.includes('memory')) {
    console.log('\nmemory');
    results.memory = await measureMemory({ ...options, log });
    endLine();
    showMemory(results.memory);
  }
  if (options.sections.includes('load')) {
    results.load = await measureLoad(options);
    showLoad(results.load);
  }

  results.targets = judge(results);
  showTargets(results.targets, results);
  if (options.name) await save(options.name, results);
  console.log(`\nin ${seconds(start)}`);
}

/**
 * The sections with contenders: which contenders, how many workers, which entries are needed, and what is measured.
 * Each section has processes of its own, so that none is affected by an earlier one.
 */
function comparisons({ counts, kept, sizes, team, loadsFor, workloads, before }) {
  return {
    latency: { workers: READING_WORKERS, measure: measureLatency, show: showLatency },
    throughput: {
      workers: Math.max(...workloads.flatMap(loadsFor).map(({ workers }) => workers)),
      besides: before ? [BEFORE] : [],
      measure: measureThroughput,
      show: showThroughput,
    },
    blocked: { among: BLOCKABLE, workers: 1, measure: measureBlocked, show: showBlocked },
    growth: {
      among: GROWING,
      workers: 2,
      names: [],
      spaces: growthSpaces(counts),
      measure: measureGrowth,
      show: showGrowth,
    },
    kept: {
      among: KEEPING,
      workers: 1,
      names: [],
      spaces: keptSpaces(kept),
      measure: measureKept,
      show: showKept,
    },
    workers: { workers: Math.max(...team), names: ['text'], measure: measureWorkers, show: showWorkers },
    sizes: { workers: 2, names: sizeSets(sizes), measure: measureSizes, show: showSizes },
    churn: { among: CHURNING, workers: CHURN_WORKERS, names: ['hot'], measure: measureChurn, show: showChurn },
  };
}

async function compare(options, results) {
  const sections = Object.entries(comparisons(options)).filter(([name]) => options.sections.includes(name));
  if (sections.length === 0) return;
  const modules = await Promise.all(
    options.contenders.map(async (contender) => ({ contender, ...(await load(contender)) })),
  );
  const services = await startServices(new Set(modules.map(({ needs }) => needs)));
  Object.assign(results.versions, services.versions);
  try {
    results.contenders = {};
    for (const { contender, title, what, needs } of modules) {
      if (services.missing[needs]) console.log(`  ${contender}: skipped, ${services.missing[needs]}`);
      else results.contenders[contender] = { title, what };
    }
    if (options.before) {
      const { title, what } = await load(BEFORE);
      results.contenders[BEFORE] = { title, what: `${what}, ${readJson(`${options.before}/package.json`).version}` };
    }
    console.log('\ncorrectness');
    await withTeams({ contenders: options.contenders, services, workers: 2 }, (teams) =>
      checkCorrectness(teams, { log }),
    );
    for (const [name, { among, besides = [], workers, names, spaces, measure, show }] of sections) {
      const contenders = options.contenders.filter((contender) => among?.includes(contender) ?? true);
      if (contenders.length === 0) continue;
      console.log(`\n${name}`);
      log('  starting the contenders', true);
      const who = { contenders: [...contenders, ...besides], services, workers, names, spaces };
      results[name] = await withTeams(who, async (teams) => {
        if (name === 'throughput') results.decode = await decodingFloor(teams[0]);
        return measure(teams, { ...options, log });
      });
      endLine();
      show(results[name]);
    }
  } finally {
    await services.end();
  }
}

/**
 * Batches of a hundred objects that two workers can parse in a second without fetching them: the best of several
 * attempts, because it serves as an upper bound.
 */
async function decodingFloor({ team }) {
  let best = 0;
  for (let attempt = 0; attempt < 4; attempt++) {
    const parts = await team.workers('decode', { milliseconds: 250 }, 2);
    best = Math.max(
      best,
      parts.reduce((sum, part) => sum + part, 0),
    );
  }
  return best;
}

async function save(name, results) {
  await mkdir(RESULTS, { recursive: true });
  const files = { [`${name}.json`]: `${JSON.stringify(results, null, 2)}\n`, ...drawCharts(name, results) };
  for (const [file, text] of Object.entries(files)) await writeFile(`${RESULTS}${file}`, text);
  console.log(`\nwritten to bench/results: ${Object.keys(files).join(', ')}`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  endLine();
  console.error(error.message);
  process.exitCode = 1;
}
