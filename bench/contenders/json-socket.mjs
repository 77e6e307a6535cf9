// A daemon that can be written in an afternoon: a Map behind a unix socket, a line of JSON for each request and each
// answer, and a small pool of connections in each worker. `../services/json-daemon.mjs` is the other side.

import { once } from 'node:events';
import { connect as open } from 'node:net';
import { onLines } from '../services/lines.mjs';

const CONNECTIONS = 4;

export const title = 'JSON socket';
export const what = 'hand-written daemon, 4 connections';
export const needs = 'jsonDaemon';

export async function connect({ jsonDaemon }) {
  const pool = await Promise.all(Array.from({ length: CONNECTIONS }, () => connection(jsonDaemon)));
  let next = 0;
  const ask = (request) => pool[next++ % CONNECTIONS](request);
  const any = {
    get: (key) => ask({ do: 'get', key }),
    set: (key, value) => ask({ do: 'set', key, value }),
    mGet: (keys) => ask({ do: 'mGet', keys }),
  };
  return {
    object: any,
    text: any,
    bytes: {
      get: async (key) => Buffer.from(await any.get(key), 'base64'),
      set: (key, value) => any.set(key, value.toString('base64')),
    },
    incr: (key) => ask({ do: 'incr', key }),
    list: (answer) => answer,
  };
}

/** Resolves to a function that sends requests over a connection of its own. */
async function connection(path) {
  const socket = open(path);
  await once(socket, 'connect');
  const waiting = new Map();
  let lastId = 0;
  onLines(socket, (line) => {
    const { id, value } = JSON.parse(line);
    const settle = waiting.get(id);
    waiting.delete(id);
    settle.resolve(value);
  });
  socket.on('close', () => {
    for (const { reject } of waiting.values()) reject(new Error('the daemon is gone'));
  });
  return (request) =>
    new Promise((resolve, reject) => {
      const id = ++lastId;
      waiting.set(id, { resolve, reject });
      socket.write(`${JSON.stringify({ id, ...request })}\n`);
    });
}
