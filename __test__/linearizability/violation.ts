import { answered, type Operation, type Value } from './operation.ts';

const shown = (value: Operation['answer'] | Value): string => (value === undefined ? 'nothing' : String(value));
const either = (values: readonly Value[]): string => values.map(shown).join(' or ');

const HEAD = ['', 'from us', 'to us', 'who', 'what', 'answer'];
const RIGHT = new Set([1, 2]);

/** Lines with cells below each other. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number) =>
    RIGHT.has(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}

export interface Found {
  /** The latest changes before the window: not part of the proof, but useful context. */
  readonly earlier: readonly Operation[];
  /** What the key may have held when the window began. */
  readonly before: readonly Value[];
  /** The window, in the order of asking; those that were never answered may be older. */
  readonly operations: readonly Operation[];
  /** The operation whose answer is the first without an explanation. */
  readonly culprit: Operation;
  /** What the key may have held until then. */
  readonly values: readonly Value[];
}

/** A window of one key's history that no order of its operations explains. */
export class Violation implements Found {
  readonly earlier: readonly Operation[];
  readonly before: readonly Value[];
  readonly operations: readonly Operation[];
  readonly culprit: Operation;
  readonly values: readonly Value[];

  constructor({ earlier, before, operations, culprit, values }: Found) {
    this.earlier = earlier;
    this.before = before;
    this.operations = operations;
    this.culprit = culprit;
    this.values = values;
  }

  get key(): string {
    return this.culprit.key;
  }

  toString(): string {
    const all = [...this.earlier, ...this.operations];
    const lines = aligned([HEAD, ...all.map((one) => this.#row(one))]);
    const head = lines.slice(0, 1 + this.earlier.length);
    return [
      `key ${this.key} is not linearizable: the answer marked > has no explanation, for the key held ${either(this.values)}`,
      ...head,
      `-- here it held ${either(this.before)}`,
      ...lines.slice(head.length),
    ].join('\n');
  }

  #row(one: Operation): string[] {
    return [
      one === this.culprit ? '>' : '',
      this.#micros(one.from),
      this.#micros(one.to),
      one.who,
      `${one.kind}(${one.argument ?? ''})`,
      answered(one) ? (one.kind === 'clear' ? '' : shown(one.answer)) : 'none',
    ];
  }

  /** Since the window began. */
  #micros(moment: number): string {
    return moment === Infinity ? 'never' : ((moment - this.operations[0]!.from) / 1_000).toFixed(3);
  }
}
