/** This package, by the ways it reads. */
export const OURS = ['near', 'shared', 'socket'];

/** Every contender, in the order of tables: ours first, the floor last. */
export const CONTENDERS = [
  ...OURS,
  'cluster-ipc',
  'ioredis',
  'node-redis',
  'json-socket',
  'lmdb',
  'lmdb-cached',
  'lru-cache',
];

/** This package in an older state: takes part if `--before` gives its folder. */
export const BEFORE = 'before';

/** The module of the contender `name`. */
export const load = (name) => import(new URL(`../contenders/${name}.mjs`, import.meta.url));
