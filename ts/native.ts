/** The only module that imports the native binding. It gives every error that native code throws its class and code. */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type * as Binding from '../binding.js';
import { codedError, fromNative } from './errors.js';

export type NativeCache = Binding.ClusteredCache & Reads;
export type NativeLink = Binding.Link & Exchange;
export type NativeIsolate = Binding.Isolate;
export type NativeOptions = Binding.NativeNamespaceOptions;
export type Attachment = Binding.Attachment;
export type SnapshotNotice = Binding.SnapshotNotice;

/**
 * What `defineReads()` adds to a cache. Each returns the value of an answer and leaves its form in the register;
 * `Form.Pending` says that the host has to be asked.
 */
interface Reads {
  get(key: unknown): unknown;
  peek(key: unknown): unknown;
  has(key: unknown): unknown;
  /** As `get`, but a miss is left open: the host decides which process loads the value. */
  find(key: unknown): unknown;
  /**
   * Calls `gather` with the values of up to `MAX_READ_MANY` keys and returns its result. The forms go into the
   * register.
   */
  readMany<T>(gather: (...values: unknown[]) => T, ...keys: unknown[]): T;
}

/** What `defineExchange()` adds to a link. */
interface Exchange {
  /**
   * Takes over the request frames in the first `length` bytes. In the host the last one is answered at once, as by the
   * functions that read.
   */
  submit(bytes: Uint8Array, length: number): unknown;
  /** As `submit`, if there are any frames, and sends everything that has been asked. */
  send(bytes: Uint8Array, length: number): void;
  /**
   * Returns the values of the answers that have arrived. The register receives, from `REGISTER_BATCH` on, their number,
   * then `id, form, number, number, number` of each. A change of the link is an answer to id 0.
   */
  drain(): unknown[];
}

/** The binding. */
export const native: typeof Binding = load();

// Numbers for the forms of answers, link events, operations, and tags of keys and values.
export const { Form, KeyTag, Leaving, LinkChange, OperationNumber, Sharing, ValueTag } = native;
export type Form = Binding.Form;
export type OperationNumber = Binding.OperationNumber;

/** Calls native code and gives any error that it throws its class and code. */
export function translated<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw fromNative(error);
  }
}

function load(): typeof Binding {
  try {
    // Written like this, tools that trace the files of a program find it.
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- a failing import could not be explained
    return checked(require('../binding.js'));
  } catch (cause) {
    try {
      // With loader hooks (tsx, for instance), Node 20's own `require` fails on JSON files in CommonJS that was
      // imported; this one bypasses hooks.
      if (!isBundled()) return checked(createRequire(__filename)('../binding.js'));
    } catch {
      // The first error is the one worth showing.
    }
    throw missing(cause);
  }
}

/** Bundlers can replace an addon with a path or an empty object. */
function checked(loaded: unknown): typeof Binding {
  const binding = loaded as typeof Binding;
  if (typeof binding.isHosting !== 'function') throw new TypeError('the loaded module is not the addon');
  return binding;
}

/** Explains why the binding could not be loaded, and what to do about it. */
function missing(cause: unknown): Error {
  const addon = `the native addon of clustered-cache for ${process.platform}-${process.arch} could not be loaded`;
  return codedError('ERR_CC_NATIVE_MISSING', addon + remedy(), { cause });
}

function remedy(): string {
  if (areAddonsDisabled()) {
    return (
      ', because this process may not load addons; start it with --allow-addons in addition to --permission, and ' +
      'without --no-addons'
    );
  }
  return isBundled()
    ? ', because a bundler has put the package into its output, where its addon is not; leave it out and install it next ' +
        "to the output: external: ['clustered-cache'] in esbuild, externals: { 'clustered-cache': 'commonjs clustered-cache' } " +
        "in webpack, serverExternalPackages: ['clustered-cache'] in Next.js"
    : '; reinstall with optional dependencies (npm install --include=optional), on the platform it runs on';
}

/** Whether Node refuses every addon. */
function areAddonsDisabled(): boolean {
  try {
    process.dlopen({ exports: {} }, './no-addon.node');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED';
  }
  return false;
}

/** Whether this code runs outside its package. An ES module that a bundler wrote has no `__dirname`. */
function isBundled(): boolean {
  return typeof __dirname === 'undefined' || !existsSync(join(__dirname, '..', 'binding.js'));
}
