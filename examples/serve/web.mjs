// A web server whose cache is hosted by another process, at CLUSTERED_CACHE_ENDPOINT.

import { createServer } from 'node:http';
import { ClusteredCache } from 'clustered-cache';

const visits = new ClusteredCache({ namespace: 'visits' });

const server = createServer(async (_request, response) => {
  const total = await visits.incr('total').catch(() => 'unknown');
  response.end(`visitor ${total}, served by process ${process.pid}\n`);
});
server.listen(Number(process.env.PORT ?? 3000));
