// What loading the package costs, in processes that do nothing else.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { median } from '../support/statistics.mjs';
import { milliseconds, table } from '../support/table.mjs';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const timed = (source) =>
  `const begin = performance.now(); ${source}; process.stdout.write(String(performance.now() - begin))`;

const PROGRAMS = {
  'node alone': timed(''),
  'with require()': timed(`require(${JSON.stringify(ROOT)})`),
  'with a cache used': timed(
    `const { ClusteredCache } = require(${JSON.stringify(ROOT)}); void new ClusteredCache().set('a', 1)`,
  ),
};

export async function measureLoad({ processes }) {
  const runs = Object.fromEntries(Object.keys(PROGRAMS).map((name) => [name, []]));
  for (let index = 0; index < processes; index++) {
    for (const [name, program] of Object.entries(PROGRAMS)) runs[name].push(await runOnce(program));
  }
  return Object.entries(runs).map(([name, list]) => ({
    name,
    inside: median(list.map(({ inside }) => inside)),
    life: median(list.map(({ life }) => life)),
  }));
}

/** Resolves to the time the program took inside, and from start to exit. */
function runOnce(program) {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    let inside = '';
    let life;
    child.stdout.on('data', (text) => (inside += text));
    child.on('error', reject);
    child.on('exit', () => (life = performance.now() - begin));
    child.on('close', (code) => {
      if (code === 0) resolve({ inside: Number(inside), life });
      else reject(new Error(`a process that only loads the package ended with code ${code}`));
    });
  });
}

export function showLoad(results) {
  console.log('\nLoading (medians of fresh processes)');
  const rows = results.map(({ name, inside, life }) => [name, milliseconds(inside), milliseconds(life)]);
  console.log(table([['', 'in the program', 'start to exit'], ...rows]));
}
