/** The only importer of the native binding. Every error it throws leaves here with its class and code. */

import type * as Binding from '../binding.js';
import { codedError, fromNative } from './errors.js';

export type NativeCache = Binding.ClusteredCache;
export type NativeLink = Binding.Link;
export type NativeOptions = Binding.NativeNamespaceOptions;
export type Attachment = Binding.Attachment;

/** What kind of answer native code gave; the numbers are those of `src/answer.rs`. */
export const Form = {
  Plain: 0,
  Json: 1,
  V8: 2,
  Bytes: 3,
  Missing: 4,
  Pending: 5,
  Error: 6,
  List: 7,
  Lease: 8,
  Waiting: 9,
  Failed: 10,
} as const;
export type Form = (typeof Form)[keyof typeof Form];

/** Changes of a link; the numbers are those of `src/link.rs`. */
export const LinkChange = { Connected: 0, Lost: 1, Unreachable: 2 } as const;

/** How a load ended; the numbers are those of `src/cache.rs`. */
export const LoadEnd = { Value: 0, Nothing: 1, Failed: 2, Abandoned: 3 } as const;

/** What a scan returns; the numbers are those of `src/cache.rs`. */
export const Fields = { Keys: 0, Entries: 1, Dump: 2 } as const;
export type Fields = (typeof Fields)[keyof typeof Fields];

/** The binding. */
export const native: typeof Binding = load();

/** Calls native code and gives what it throws its class and code. */
export function translated<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}

function load(): typeof Binding {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- a failing import could not be explained
    return require('../binding.js') as typeof Binding;
  } catch (cause) {
    throw codedError(
      'ERR_CC_NATIVE_MISSING',
      `the native addon of clustered-cache for ${process.platform}-${process.arch} could not be loaded; ` +
        'reinstall with optional dependencies (npm install --include=optional), and if a bundler is used, ' +
        'mark clustered-cache as external',
      { cause },
    );
  }
}
