// The other side of `../contenders/json-socket.mjs`: a process of its own with a Map.
//
//   node json-daemon.mjs <socket>

import { createServer } from 'node:net';
import { onLines } from './lines.mjs';

const values = new Map();

const operations = {
  get: ({ key }) => values.get(key),
  set({ key, value }) {
    values.set(key, value);
    return true;
  },
  mGet: ({ keys }) => keys.map((key) => values.get(key)),
  incr({ key }) {
    const value = (values.get(key) ?? 0) + 1;
    values.set(key, value);
    return value;
  },
};

const server = createServer((socket) => {
  onLines(socket, (line) => {
    const request = JSON.parse(line);
    socket.write(`${JSON.stringify({ id: request.id, value: operations[request.do](request) })}\n`);
  });
  // A client that disconnects is not an error of the daemon.
  socket.on('error', () => socket.destroy());
});

server.listen(process.argv[2], () => process.send('listening'));
process.on('disconnect', () => process.exit());
