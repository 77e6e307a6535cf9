// The benchmark: this package and what one would use instead, side by side in one run. `npm run bench -- --help`.

import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { manifest, seconds } from '../scripts/support/project.mjs';
import { drawCharts } from './support/chart.mjs';
import { load } from './support/contender.mjs';
import { describeMachine, loadBefore } from './support/machine.mjs';
import { USAGE, parseOptions } from './support/options.mjs';
import { installRivals, rivalVersions } from './support/rivals.mjs';
import { judge, showTargets } from './support/targets.mjs';
import { Team } from './support/team.mjs';
import { BLOCKABLE, measureBlocked, showBlocked } from './sections/blocked.mjs';
import { checkCorrectness } from './sections/correctness.mjs';
import { measureLoad, showLoad } from './sections/load.mjs';
import { measureMemory, showMemory } from './sections/memory.mjs';
import { measureThroughput, showThroughput } from './sections/throughput.mjs';
import { startServices } from './services/index.mjs';

const RESULTS = fileURLToPath(new URL('results/', import.meta.url));

/** A line of progress; one that passes is overwritten by the next, and left out where nobody watches. */
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
  const start = performance.now();
  await installRivals();
  const results = {
    package: manifest.version,
    date: new Date().toISOString().slice(0, 10),
    machine: describeMachine(),
    loadBefore: loadBefore(),
    versions: rivalVersions(),
    settings: {
      rounds: options.rounds,
      warmUp: options.warmUp,
      milliseconds: options.milliseconds,
    },
  };
  const { cpu, cores, system, node } = results.machine;
  console.log(`${cpu}, ${cores} cores, ${system}, Node.js ${node}, load ${results.loadBefore}`);
  if (results.loadBefore > cores / 2) {
    console.log('The machine is busy with something else: figures will be low, and vary. Quotients suffer least.');
  }

  if (options.sections.includes('throughput') || options.sections.includes('blocked')) {
    await compare(options, results);
  }
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

/** The sections that contenders take part in, with processes that live from the first to the last of them. */
async function compare(options, results) {
  const modules = await Promise.all(
    options.contenders.map(async (contender) => ({ contender, module: await load(contender) })),
  );
  const services = await startServices(new Set(modules.map(({ module }) => module.needs)));
  Object.assign(results.versions, services.versions);
  results.contenders = {};
  const teams = [];
  try {
    console.log('\nstarting the contenders');
    const workers = Math.max(...options.loads.map(({ workers }) => workers), 2);
    for (const { contender, module } of modules) {
      const missing = services.missing[module.needs];
      if (missing) {
        console.log(`  ${contender}: skipped, ${missing}`);
        continue;
      }
      if (!options.sections.includes('throughput') && !BLOCKABLE.includes(contender)) continue;
      results.contenders[contender] = { title: module.title, what: module.what };
      const team = await Team.start({ contender, addresses: services.addresses, workers });
      teams.push({ contender, module, team, workers });
    }
    await checkCorrectness(teams, { log });

    if (options.sections.includes('throughput')) {
      console.log('\nthroughput');
      results.throughput = await measureThroughput(teams, { ...options, log });
      results.decode = await decodingFloor(teams);
      endLine();
      showThroughput(results.throughput);
    }
    if (options.sections.includes('blocked')) {
      results.blocked = await measureBlocked(teams);
      if (results.blocked.length > 0) showBlocked(results.blocked);
    }
  } finally {
    await Promise.all(teams.map(({ team }) => team.end()));
    await services.end();
  }
}

/** Batches of a hundred objects that two workers can parse in a second when they need not fetch them. */
async function decodingFloor([{ team }]) {
  const parts = await team.workers('decode', { milliseconds: 500 }, 2);
  return parts.reduce((sum, part) => sum + part, 0);
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
