// The cost of loading the package, in processes that do nothing else. With `--before`, alternating with an older state.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { median } from '../support/statistics.mjs';
import { milliseconds, table } from '../support/table.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Prints the time that `source` takes, and the processor time of all threads, in ms. */
const timed = (source) => `
  const [cpu, begin] = [process.cpuUsage(), performance.now()];
  ${source};
  const [took, { user, system }] = [performance.now() - begin, process.cpuUsage(cpu)];
  process.stdout.write(JSON.stringify({ inside: took, cpu: (user + system) / 1e3 }))`;

const loading = (root) => timed(`require(${JSON.stringify(root)})`);

const programs = (before) => ({
  'node alone': timed(''),
  'with require()': loading(ROOT),
  ...(before && { 'with require(), before': loading(before) }),
  'with a cache used': timed(
    `const { ClusteredCache } = require(${JSON.stringify(ROOT)}); void new ClusteredCache().set('a', 1)`,
  ),
});

const FIGURES = ['inside', 'cpu', 'life'];

export async function measureLoad({ processes, before }) {
  const all = Object.entries(programs(before));
  const runs = Object.fromEntries(all.map(([name]) => [name, []]));
  for (let index = 0; index < processes; index++) {
    for (const [name, program] of all) runs[name].push(await runOnce(program));
  }
  return Object.entries(runs).map(([name, list]) => ({
    name,
    ...Object.fromEntries(FIGURES.map((figure) => [figure, median(list.map((one) => one[figure]))])),
  }));
}

/** Resolves to the time the program took inside, in processor time, and from start to exit. */
function runOnce(program) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    let printed = '';
    let life;
    child.stdout.on('data', (text) => (printed += text));
    child.on('error', reject);
    child.on('exit', () => (life = performance.now() - begin));
    child.on('close', (code) => {
      if (code === 0) resolve({ ...JSON.parse(printed), life });
      else reject(new Error(`a process that only loads the package ended with code ${code}`));
    });
  });
}

export function showLoad(results) {
  console.log('\nLoading (medians of fresh processes)');
  const rows = results.map(({ name, ...figures }) => [name, ...FIGURES.map((figure) => milliseconds(figures[figure]))]);
  console.log(table([['', 'in the program', 'of processor time', 'start to exit'], ...rows]));
}
