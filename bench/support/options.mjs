// The command line.

import { parseArgs } from 'node:util';
import { CONTENDERS } from './contender.mjs';
import { WORKLOADS } from './workloads.mjs';

export const SECTIONS = ['throughput', 'blocked', 'memory', 'load'];

export const USAGE = `npm run bench -- [options]

  --quick                 one to two minutes: two workers, the main workloads
  --only a,b              of ${SECTIONS.join(', ')},
                          or workloads: ${Object.keys(WORKLOADS).join(', ')}
  --contender a,b         of ${CONTENDERS.join(', ')}
  --rounds n              medians over so many rounds
  --name name             writes results/<name>.json and its charts; a full run does by itself`;

const FULL = {
  rounds: 5,
  warmUp: 150,
  milliseconds: 400,
  workers: [1, 2, 4],
  workloads: Object.keys(WORKLOADS),
  sizes: [1_024, 250],
  processes: 31,
};

const QUICK = {
  rounds: 3,
  warmUp: 100,
  milliseconds: 250,
  workers: [1, 2],
  workloads: ['get-object', 'set-object', 'incr', 'mget-object', 'get-bytes', 'set-bytes'],
  sizes: [1_024],
  processes: 11,
};

/** What to do, from the command line; `undefined` when it asked for help. */
export function parseOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      contender: { type: 'string' },
      rounds: { type: 'string' },
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
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds ${values.rounds}: a number of rounds is needed`);
  const isFull = !values.quick && !only && contenders.length === CONTENDERS.length;
  return {
    ...base,
    quick: values.quick,
    rounds,
    sections,
    contenders: CONTENDERS.filter((name) => contenders.includes(name)),
    workloads: named.length > 0 ? named : base.workloads,
    loads: loadsOf(base),
    name: values.name ?? (isFull ? `${process.platform}-${process.arch}` : undefined),
  };
}

/** One at a time and many at once; of the short run only the ends. */
function loadsOf({ workers }) {
  const all = workers.flatMap((count) => [1, 64].map((inFlight) => ({ workers: count, inFlight })));
  return workers.length > 2 ? all : [all[0], all[all.length - 1]];
}

function list(text, option, allowed) {
  const names = text?.split(',').map((name) => name.trim());
  const unknown = names?.filter((name) => !allowed.includes(name)) ?? [];
  if (unknown.length > 0) throw new Error(`${option} ${unknown.join(',')}: known are ${allowed.join(', ')}`);
  return names;
}
