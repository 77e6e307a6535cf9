// ioredis with auto-pipelining, on a Redis server's unix socket. Objects are JSON, as users of Redis keep them.

import { Redis } from 'ioredis';

export const title = 'ioredis';
export const what = 'auto-pipelining, unix socket';
export const needs = 'redis';

export async function connect({ redis }) {
  const client = new Redis({ path: redis, db: 0, enableAutoPipelining: true });
  return {
    object: {
      get: async (key) => JSON.parse(await client.get(key)),
      set: (key, value) => client.set(key, JSON.stringify(value)),
      mGet: async (keys) => (await client.mget(keys)).map((text) => JSON.parse(text)),
    },
    text: {
      get: (key) => client.get(key),
      set: (key, value) => client.set(key, value),
      mGet: (keys) => client.mget(keys),
    },
    bytes: {
      get: (key) => client.getBuffer(key),
      set: (key, value) => client.set(key, value),
    },
    incr: (key) => client.incr(key),
    list: (answer) => answer,
  };
}
