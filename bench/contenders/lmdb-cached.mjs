// lmdb with its cache of decoded values, in the mode that its README recommends for several processes: each read still
// looks at the database, to see whether the value is the one that was kept.

import { connectWith } from './lmdb.mjs';

export const title = 'lmdb, cached';
export const what = 'keeps values, validates each read';
export const inProcess = true;
export const sync = true;
/** Reads are of a snapshot that is renewed when the event loop has turned: a change is seen some turns later. */
export const seesLater = 1_000;

export const connect = (addresses, { space }) =>
  connectWith({ cache: { validated: true } }, addresses, `lmdb-cached-${space}`);
