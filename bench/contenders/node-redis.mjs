// node-redis, which pipelines the requests of one event-loop turn, on a Redis server's unix socket.

import { RESP_TYPES, createClient } from 'redis';

export const title = 'node-redis';
export const what = 'pipelining, unix socket';
export const needs = 'redis';

export async function connect({ redis }) {
  const client = createClient({ socket: { path: redis }, database: 1 });
  await client.connect();
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return {
    object: {
      get: async (key) => JSON.parse(await client.get(key)),
      set: (key, value) => client.set(key, JSON.stringify(value)),
      mGet: async (keys) => (await client.mGet(keys)).map((text) => JSON.parse(text)),
    },
    text: {
      get: (key) => client.get(key),
      set: (key, value) => client.set(key, value),
      mGet: (keys) => client.mGet(keys),
    },
    bytes: {
      get: (key) => binary.get(key),
      set: (key, value) => client.set(key, value),
    },
    incr: (key) => client.incr(key),
    list: (answer) => answer,
  };
}
