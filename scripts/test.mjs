// Runs the ava suite in each way that clients can read the data: from the host's memory, and only over the socket.
//
//   npm test -- [arguments of ava]
//   CLUSTERED_CACHE_TRANSPORT=socket npm test     in that way only

import { main, run, seconds, tool } from './support/project.mjs';

const READS = { shared: "the host's memory", socket: 'over the socket' };
/** Where memory cannot be shared, there is only one way. */
const MODES = process.platform === 'win32' ? ['socket'] : ['shared', 'socket'];

await main(async () => {
  const { CLUSTERED_CACHE_TRANSPORT: asked } = process.env;
  if (asked && !(asked in READS)) throw new Error(`CLUSTERED_CACHE_TRANSPORT is ${asked}; allowed is shared or socket`);
  const failed = [];
  for (const mode of asked ? [asked] : MODES) {
    console.log(`\n== ${mode} mode: clients read ${READS[mode]} (CLUSTERED_CACHE_TRANSPORT=${mode})`);
    const start = performance.now();
    const { code } = await run([...tool('ava'), ...process.argv.slice(2)], {
      env: { CLUSTERED_CACHE_TRANSPORT: mode },
    });
    console.log(`== ${mode} mode ${code === 0 ? 'passed' : 'failed'}: ${seconds(start)}`);
    if (code !== 0) failed.push(mode);
  }
  if (failed.length > 0) throw new Error(`\nthe suite failed in ${failed.join(' and ')} mode`);
});
