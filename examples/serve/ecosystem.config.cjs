'use strict';
// npx pm2 start ecosystem.config.cjs
// The cache is an app of its own: `pm2 reload web` and `pm2 restart web` do not affect it.

const path = require('node:path');

const endpoint = path.join(__dirname, 'run', 'socket');
const program = path.join(path.dirname(require.resolve('clustered-cache/package.json')), 'bin.js');

module.exports = {
  apps: [
    {
      name: 'cache',
      cwd: __dirname,
      script: program,
      args: ['serve', '--endpoint', endpoint, '--snapshot', path.join(__dirname, 'cache.snapshot')],
      instances: 1,
      exec_mode: 'fork',
      wait_ready: true,
      // Time to write the snapshot before PM2 kills it.
      kill_timeout: 10_000,
    },
    {
      name: 'web',
      cwd: __dirname,
      script: './web.mjs',
      instances: 2,
      exec_mode: 'cluster',
      // The order in which they start does not matter: clients wait for the host.
      env: { PORT: '3000', CLUSTERED_CACHE_ENDPOINT: endpoint },
    },
  ],
};
