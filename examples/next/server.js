// Next.js in several processes with one cache: the primary hosts it and forks workers, which serve requests.

const cluster = require('node:cluster');
const { createServer } = require('node:http');

const WORKERS = 2;
const port = Number(process.env.PORT ?? 3000);

async function serve() {
  const next = require('next');
  const app = next({ dev: false, dir: __dirname, port });
  await app.prepare();
  createServer(app.getRequestHandler()).listen(port);
}

if (cluster.isPrimary) {
  require('clustered-cache').ClusteredCache.bootstrap();
  for (let count = 0; count < WORKERS; count += 1) cluster.fork();
} else {
  void serve();
}
