import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { LONG } from './long.ts';
import { ROOT } from './scripts.ts';
import { TRANSPORT } from './transport.ts';

const FILE = path.join(ROOT, 'bench', 'results', `${process.platform}-${process.arch}-hosts.json`);

export type Figures = Record<string, number>;

/** Prints what a test measured. The long form keeps it with the results of the benchmark. */
export function keep(t: ExecutionContext, title: string, figures: Figures): void {
  const rounded = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(1))]));
  t.log(title, rounded);
  if (!LONG || TRANSPORT !== 'shared') return;
  const { version } = process;
  const about = { node: version, cores: os.availableParallelism(), date: new Date().toISOString().slice(0, 10) };
  mkdirSync(path.dirname(FILE), { recursive: true });
  const sorted = Object.entries({ ...kept(), [title]: { ...rounded, ...about } }).sort(([one], [other]) =>
    one < other ? -1 : 1,
  );
  writeFileSync(FILE, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
}

function kept(): object {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8')) as object;
  } catch {
    return {};
  }
}

/** The number that so large a share of the others does not exceed. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
