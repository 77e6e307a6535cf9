import { createRequire } from 'node:module';
import type { ExecutionContext } from 'ava';
import { LONG } from './long.ts';
import { TRANSPORT } from './transport.ts';

const { keepFigures } = createRequire(import.meta.url)('../../scripts/support/figures.cjs') as {
  keepFigures(title: string, figures: Figures): void;
};

export type Figures = Record<string, number>;

/** Prints what a test measured. The long form keeps it with the results of the benchmark. */
export function keep(t: ExecutionContext, title: string, figures: Figures): void {
  const rounded = Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(1))]));
  t.log(title, rounded);
  if (LONG && TRANSPORT === 'shared') keepFigures(title, rounded);
}

/** The number that this share of the numbers does not exceed. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
