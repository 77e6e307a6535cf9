import { createRequire } from 'node:module';
import { Random } from '../helpers/random.ts';
import type { Kind, Operation } from './operation.ts';

/** How many numbers describe an operation, and its result. */
const { PLANNED, RECORDED } = createRequire(import.meta.url)('./worker.cjs') as { PLANNED: number; RECORDED: number };

/** Kinds, by their numbers in plans. */
export const KINDS = [
  'get',
  'has',
  'set',
  'delete',
  'incr',
  'setIfAbsent',
  'getAndDelete',
  'getAndSet',
  'clear',
] as const satisfies readonly Kind[];

/** Keys, by their numbers in plans. Few, so that operations meet; only counters can be counted on. */
export const REGISTERS = ['r0', 'r1', 'r2', 'r3'];
export const COUNTERS = ['n0', 'n1'];
export const KEYS = [...REGISTERS, ...COUNTERS];

/** How often a kind is chosen, relative to the others. */
const ON_REGISTERS: readonly (readonly [Kind, number])[] = [
  ['get', 44],
  ['has', 8],
  ['set', 22],
  ['delete', 8],
  ['setIfAbsent', 12],
  ['getAndDelete', 6],
  ['getAndSet', 6],
];
const ON_COUNTERS: readonly (readonly [Kind, number])[] = [
  ['get', 34],
  ['has', 6],
  ['incr', 50],
  ['set', 2],
  ['delete', 4],
  ['getAndDelete', 4],
];
const WRITES_ITS_ARGUMENT: ReadonlySet<Kind> = new Set(['set', 'setIfAbsent', 'getAndSet']);
const ANSWERS_A_VALUE: ReadonlySet<Kind> = new Set(['get', 'getAndDelete', 'getAndSet', 'incr']);
/** One operation in this many clears the whole cache. */
const CLEARS = 400;
/** Most operations that a member has in flight at a time; each burst takes one of these. One at a time is sharpest. */
const FLIGHTS = [1, 2, 4, 8, 16] as const;

const spread = (weights: readonly (readonly [Kind, number])[]): Kind[] =>
  weights.flatMap(([kind, weight]) => Array.from({ length: weight }, () => kind));
const REGISTER_KINDS = spread(ON_REGISTERS);
const COUNTER_KINDS = spread(ON_COUNTERS);

/** What one member does in one burst. */
export interface Burst {
  readonly plan: Float64Array;
  readonly flight: number;
}

/** Plans all bursts of a run: the same seed, the same operations. */
export class Planner {
  readonly #random: Random;
  /** No value is written twice, so that every answer identifies its write. */
  #values = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  burst(operations: number, ways: number): Burst {
    const plan = new Float64Array(operations * PLANNED);
    for (let at = 0; at < plan.length; at += PLANNED) plan.set(this.#operation(ways), at);
    return { plan, flight: this.#random.pick(FLIGHTS) };
  }

  #operation(ways: number): number[] {
    const random = this.#random;
    const key = random.below(KEYS.length);
    const kind =
      random.below(CLEARS) === 0 ? 'clear' : random.pick(key < REGISTERS.length ? REGISTER_KINDS : COUNTER_KINDS);
    return [KINDS.indexOf(kind), key, this.#argument(kind), random.below(ways)];
  }

  #argument(kind: Kind): number {
    if (kind === 'incr') return this.#random.below(9) + 1;
    return WRITES_ITS_ARGUMENT.has(kind) ? ++this.#values : NaN;
  }
}

/** The operations of a plan with their results; `names` of the member, by way. */
export function operationsOf(plan: Float64Array, records: Float64Array, names: readonly string[]): Operation[] {
  const operations: Operation[] = [];
  for (let index = 0; index * PLANNED < plan.length; index += 1) {
    const [kindNumber, keyNumber, argument, way] = plan.subarray(index * PLANNED, (index + 1) * PLANNED);
    const [answer, from, to] = records.subarray(index * RECORDED, (index + 1) * RECORDED);
    const kind = KINDS[kindNumber!]!;
    const operation: Omit<Operation, 'key'> = {
      who: names[way!]!,
      kind,
      ...(!Number.isNaN(argument) && { argument: argument! }),
      ...(!Number.isNaN(answer) && { answer: answerOf(kind, answer!) }),
      from: from!,
      to: to!,
    };
    const keys = kind === 'clear' ? KEYS : [KEYS[keyNumber!]!];
    for (const key of keys) operations.push({ ...operation, key });
  }
  return operations;
}

function answerOf(kind: Kind, answer: number): number | boolean {
  return ANSWERS_A_VALUE.has(kind) ? answer : answer === 1;
}
