// node webpack.mjs <entry> <output> [outside]     `outside`: as docs/tools.md has it

import path from 'node:path';
import webpack from 'webpack';

const [entry, output, outside] = process.argv.slice(2);
const compiler = webpack({
  entry: path.resolve(entry),
  output: { path: path.resolve(path.dirname(output)), filename: path.basename(output) },
  target: 'node20',
  mode: 'development',
  devtool: false,
  ...(outside && { externals: { 'clustered-cache': 'commonjs clustered-cache' } }),
});
compiler.run((failure, stats) => {
  if (failure) throw failure;
  // Bundled, webpack reports an error for the addon and still writes its output.
  if (outside && stats.hasErrors()) throw new Error(stats.toString());
});
