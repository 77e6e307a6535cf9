// lmdb with its cache of decoded values, in the mode that its README recommends for several processes: each read still
// checks in the database whether the kept value is current.

import { connectWith } from './lmdb.mjs';

export const title = 'lmdb, cached';
export const what = 'keeps values, validates each read';
export const inProcess = true;
export const sync = true;
/** Reads use a snapshot that is renewed after a turn of the event loop: a change is visible some turns later. */
export const seesLater = 1_000;

export const connect = (addresses, { space }) =>
  connectWith({ cache: { validated: true } }, addresses, `lmdb-cached-${space}`);
