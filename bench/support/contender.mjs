/** Every contender, in the order of tables: the one that is measured first, the floor last. */
export const CONTENDERS = [
  'clustered-cache',
  'cluster-ipc',
  'ioredis',
  'node-redis',
  'json-socket',
  'lmdb',
  'lru-cache',
];

/** The module of the contender `name`. */
export const load = (name) => import(new URL(`../contenders/${name}.mjs`, import.meta.url));
