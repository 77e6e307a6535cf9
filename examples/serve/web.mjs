// A web server whose cache is in another process: CLUSTERED_CACHE_ENDPOINT says where.

import { createServer } from 'node:http';
import { ClusteredCache } from 'clustered-cache';

const visits = new ClusteredCache({ namespace: 'visits' });

const server = createServer(async (_request, response) => {
  const total = await visits.incr('total').catch(() => 'unknown');
  response.end(`visitor ${total}, served by process ${process.pid}\n`);
});
server.listen(Number(process.env.PORT ?? 3000));
