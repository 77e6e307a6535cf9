// The command line.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { CONTENDERS } from './contender.mjs';
import { WORKLOADS } from './workloads.mjs';

export const SECTIONS = [
  'latency',
  'throughput',
  'blocked',
  'growth',
  'kept',
  'workers',
  'sizes',
  'churn',
  'memory',
  'load',
];

export const USAGE = `npm run bench -- [options]

  --quick                 a few minutes: every section, with fewer cells and rounds
  --only a,b              of ${SECTIONS.join(', ')},
                          or workloads: ${Object.keys(WORKLOADS).join(', ')}
  --contender a,b         of ${CONTENDERS.join(', ')}
  --rounds n              number of rounds for medians
  --before folder         an older state of this package, built there, to compare writes and loading with
  --name name             writes results/<name>.json and its charts; a full run does by itself`;

const KIBI = 1_024;
const MEBI = KIBI ** 2;

const FULL = {
  rounds: 5,
  /** Of one read at a time, in ms. */
  timed: { warmUp: 50, milliseconds: 150 },
  /** Of many operations in flight. */
  busy: { warmUp: 150, milliseconds: 400 },
  workloads: Object.keys(WORKLOADS),
  loads: [1, 2, 4].flatMap((workers) => [1, 64].map((inFlight) => ({ workers, inFlight }))),
  counts: [1_000, 10_000, 100_000, 1_000_000],
  kept: [1_000, 50_000],
  team: [1, 2, 4, 8],
  sizes: [16, 128, KIBI, 8 * KIBI, 64 * KIBI, 256 * KIBI, MEBI],
  memory: [KIBI, 250],
  processes: 31,
};

const QUICK = {
  rounds: 3,
  timed: { warmUp: 20, milliseconds: 50 },
  busy: { warmUp: 60, milliseconds: 160 },
  workloads: Object.keys(WORKLOADS),
  loads: [{ workers: 2, inFlight: 64 }],
  counts: [1_000, 1_000_000],
  kept: [1_000, 50_000],
  team: [1, 2, 8],
  sizes: [16, KIBI, 64 * KIBI, MEBI],
  memory: [KIBI, 250],
  processes: 11,
};

/** The settings from the command line; `undefined` if it asks for help. */
export function parseOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      contender: { type: 'string' },
      rounds: { type: 'string' },
      before: { type: 'string' },
      name: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;

  const only = list(values.only, '--only', [...SECTIONS, ...Object.keys(WORKLOADS)]);
  const contenders = list(values.contender, '--contender', CONTENDERS) ?? CONTENDERS;
  const base = values.quick ? QUICK : FULL;
  const named = only?.filter((name) => name in WORKLOADS) ?? [];
  const sections = SECTIONS.filter(
    (name) => !only || only.includes(name) || (name === 'throughput' && named.length > 0),
  );
  const rounds = values.rounds === undefined ? base.rounds : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${values.rounds}: must be a number of rounds`);
  const isFull = !values.quick && !only && contenders.length === CONTENDERS.length;
  return {
    ...base,
    quick: values.quick,
    rounds,
    sections,
    contenders: CONTENDERS.filter((name) => contenders.includes(name)),
    workloads: named.length > 0 ? named : base.workloads,
    before: values.before === undefined ? undefined : builtIn(values.before),
    loadsFor: (workload) => (values.quick ? quickLoads(workload) : base.loads),
    name: values.name ?? (isFull ? `${process.platform}-${process.arch}` : undefined),
  };
}

/** One operation at a time is a section of its own; this has what the targets need from a single worker. */
const quickLoads = (workload) =>
  workload === 'get-object' ? [{ workers: 1, inFlight: 1 }, ...QUICK.loads] : QUICK.loads;

/** The folder of an older state, which has to be built already. */
function builtIn(folder) {
  const path = resolve(folder);
  const missing = ['index.mjs', join('lib', 'index.js')].find((file) => !existsSync(join(path, file)));
  if (missing)
    throw new Error(`--before ${folder}: ${missing} is not there: check out an older state and build it there`);
  return path;
}

function list(text, option, allowed) {
  const names = text?.split(',').map((name) => name.trim());
  const unknown = names?.filter((name) => !allowed.includes(name)) ?? [];
  if (unknown.length > 0) throw new Error(`${option} ${unknown.join(',')}: known are ${allowed.join(', ')}`);
  return names;
}
