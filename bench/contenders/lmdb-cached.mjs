// lmdb with its cache of decoded values, in the mode that its README recommends for several processes: each read still
// looks at the database, to see whether the value is the one that was kept.

import { connectWith } from './lmdb.mjs';

export const title = 'lmdb, cached';
export const what = 'keeps values, validates each read';
export const inProcess = true;
export const sync = true;

export const connect = (addresses, { space }) =>
  connectWith({ cache: { validated: true } }, addresses, `lmdb-cached-${space}`);
