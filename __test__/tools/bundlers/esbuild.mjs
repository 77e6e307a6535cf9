// node esbuild.mjs <entry> <output> [outside]     `outside`: as docs/tools.md has it

import { build } from 'esbuild';

const [entry, output, outside] = process.argv.slice(2);
await build({
  entryPoints: [entry],
  outfile: output,
  bundle: true,
  platform: 'node',
  format: output.endsWith('.mjs') ? 'esm' : 'cjs',
  logLevel: 'error',
  // Inside, the addon has to become something, or there is no output that could be loaded.
  ...(outside ? { external: ['clustered-cache'] } : { loader: { '.node': 'file' } }),
});
