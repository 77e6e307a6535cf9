/** The only importer of the native binding. Every error it throws leaves here with its class and code. */

import type * as Binding from '../binding.js';
import { codedError, fromNative } from './errors.js';

export type NativeCache = Binding.ClusteredCache & Accelerated;
export type NativeLink = Binding.Link;
export type NativeOptions = Binding.NativeNamespaceOptions;
export type Attachment = Binding.Attachment;
export type SnapshotNotice = Binding.SnapshotNotice;

/** What `accelerate()` adds to a cache. */
interface Accelerated {
  /** What `gather` makes of the values of up to {@link MANY} keys. Their forms go into the register. */
  readMany<T>(gather: (...values: unknown[]) => T, ...keys: unknown[]): T;
}

/** The most keys of one `readMany`; see `src/many.rs`. */
export const MANY = 128;

/** The binding. */
export const native: typeof Binding = load();

// Numbers that stand for kinds of answers, changes of a link, ends of a load and parts of a scan.
export const { Form, Leaving, LinkChange, LoadEnd, Fields, Sharing } = native;
export type Form = Binding.Form;
export type Fields = Binding.Fields;
export type LoadEnd = Binding.LoadEnd;

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
