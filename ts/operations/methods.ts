/**
 * The methods of a cache that only request an operation, or run the steps of one. The synchronous twins and the views
 * of `wrap` are made from this list.
 */

import * as batches from './batches.js';
import * as counters from './counters.js';
import * as entries from './entries.js';
import * as namespace from './namespace.js';
import type { Composite, Operation } from './operation.js';
import * as scans from './scans.js';

const FAMILIES = [entries, counters, batches, scans, namespace] as const;

/** The types of what the families export. */
type Exports = (typeof FAMILIES)[number] extends infer Family
  ? Family extends unknown
    ? Family[keyof Family]
    : never
  : never;

/** The names of these methods. */
export type MethodName = Extract<Exports, { method: string }>['method'];

/** The names of those that have a synchronous twin. */
export type SyncMethodName = Extract<Exports, { method: string; sync: true }>['method'];

/** The names of those whose argument or result is a value, which a view of `wrap` passes through its codec. */
export type CodedMethodName = Exclude<
  Extract<Exports, { method: string; valueAt: number }>['method'],
  Extract<Exports, { method: string; valueAt: -1; givesValue: false }>['method']
>;

/** The definition of a method that requests an operation. */
export type Requesting = Operation<unknown, readonly unknown[]> & { readonly method: string };

/** The definition of a method. */
export type Method = Requesting | Composite<unknown, readonly unknown[]>;

export const METHODS = FAMILIES.flatMap((family): unknown[] => Object.values(family)).filter(
  (exported): exported is Method => typeof (exported as Partial<Method>).method === 'string',
);

/** Whether an argument or the result is a value. Composite methods, which handle many, are left to `wrap.ts`. */
export function isCoded(method: Method): method is Requesting {
  return 'valueAt' in method && (method.valueAt >= 0 || method.givesValue);
}
