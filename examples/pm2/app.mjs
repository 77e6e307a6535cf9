// A web server for PM2: its instances share one cache, and its content survives `pm2 restart`.
//
//   npx pm2 start ecosystem.config.cjs && curl localhost:3000

import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { ClusteredCache } from 'clustered-cache';

const visits = new ClusteredCache({
  namespace: 'visits',
  persist: { path: fileURLToPath(new URL('cache.snapshot', import.meta.url)) },
});

const server = createServer(async (_request, response) => {
  const total = await visits.incr('total');
  response.end(`visitor ${total}, served by process ${process.pid}\n`);
});
server.listen(Number(process.env.PORT ?? 3000));
