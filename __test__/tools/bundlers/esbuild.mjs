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
  // Bundled, the addon needs some loader, or esbuild writes no output.
  ...(outside ? { external: ['clustered-cache'] } : { loader: { '.node': 'file' } }),
});
