// lmdb: a memory-mapped B+ tree that every process opens. Reads need no other process; writes wait for a transaction.
// A database, not a cache: it evicts nothing.
//
// Set up for reading as its README recommends, a database for each kind of values: objects as MessagePack with shared
// structures, text by its encoding for strings, bytes as they are. `noSync` and `noMemInit`, because a cache need not
// survive a power cut and its files are private. Bytes are read by `get`, whose buffer stays unchanged, not by
// `getBinaryFast`, whose buffer is valid only until the next read. Without its own cache of values; for that, see
// `lmdb-cached.mjs`.

import { join } from 'node:path';
import { open } from 'lmdb';

export const title = 'lmdb';
export const what = 'memory-mapped database; evicts nothing';
export const inProcess = true;
/** `get` is synchronous. */
export const sync = true;
/** Reads use a snapshot that is renewed after a turn of the event loop: a change is visible some turns later. */
export const seesLater = 1_000;

export const connect = (addresses, { space }) => connectWith({}, addresses, `lmdb-${space}`);

/** Opens the databases of one folder. */
export async function connectWith(options, { folder }, name) {
  const root = open({ path: join(folder, name), noSync: true, noMemInit: true, mapSize: 2 * 1024 ** 3 });
  const objects = root.openDB('objects', { ...options, sharedStructuresKey: Symbol.for('structures') });
  const strings = root.openDB('strings', { ...options, encoding: 'string' });
  const bytes = root.openDB('bytes', { ...options, encoding: 'binary' });
  // Without the cache of values, which is not checked again within a transaction.
  const counters = root.openDB('counters');
  return {
    object: operations(objects),
    text: operations(strings),
    bytes: operations(bytes),
    incr: (key) =>
      counters.transaction(() => {
        const value = (counters.get(key) ?? 0) + 1;
        counters.put(key, value);
        return value;
      }),
    list: (answer) => answer,
  };
}

const operations = (database) => ({
  get: (key) => database.get(key),
  set: (key, value) => database.put(key, value),
  mGet: (keys) => keys.map((key) => database.get(key)),
});
