'use strict';
// npx pm2 start ecosystem.config.cjs
// Every instance runs the same code; they elect the instance that hosts the cache.

module.exports = {
  apps: [
    {
      name: 'web',
      cwd: __dirname,
      script: './app.mjs',
      instances: 2,
      exec_mode: 'cluster',
      // The host saves the cache within this time before PM2 kills it.
      kill_timeout: 5_000,
      env: { PORT: '3000' },
    },
  ],
};
