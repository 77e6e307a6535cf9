// lmdb: a memory-mapped B+ tree that every process opens. Reads need no other process; writes wait for a transaction.
// A database, not a cache: it evicts nothing. `noSync`, because a cache need not survive a power cut.

import { join } from 'node:path';
import { open } from 'lmdb';

export const title = 'lmdb';
export const what = 'memory-mapped database; evicts nothing';
export const inProcess = true;

export async function connect({ folder }) {
  const database = open({ path: join(folder, 'lmdb'), noSync: true, mapSize: 2 * 1024 ** 3 });
  const any = {
    get: (key) => database.get(key),
    set: (key, value) => database.put(key, value),
    mGet: (keys) => keys.map((key) => database.get(key)),
  };
  return {
    object: any,
    text: any,
    bytes: any,
    incr: (key) =>
      database.transaction(() => {
        const value = (database.get(key) ?? 0) + 1;
        database.put(key, value);
        return value;
      }),
    list: (answer) => answer,
  };
}
