// Builds lib/ from ts/: the package as one file, its program, and typings.
//
// Loading dozens of small files took half of the time of `require()`. The output is not minified, so that stack traces
// and profiles name functions and can be read; there is no source map, because the sources are not published.

import { rolldown } from 'rolldown';
import { at, main, mustRun, tool } from './support/project.mjs';

/**
 * Each entry point has a bundle of its own, so that `require()` does not parse code that only the program needs. They
 * share no chunk, because a process that runs the program never loads the package.
 */
const ENTRANCES = { index: 'ts/index.ts', cli: 'ts/cli/main.ts' };

/** The addon stays outside; `ts/native.ts` finds it relative to lib/. */
const external = ['../binding.js'];

async function bundle(name, file) {
  const build = await rolldown({
    input: { [name]: file },
    cwd: at(),
    platform: 'node',
    external,
    tsconfig: 'tsconfig.json',
    // An unresolved import would fail only where the package is used.
    onLog: (level, log) => {
      if (level === 'warn') throw new Error(log.message);
    },
  });
  await build.write({
    dir: at('lib'),
    format: 'cjs',
    entryFileNames: '[name].js',
    // Modules that the program loads later.
    chunkFileNames: `${name}-[name].js`,
    comments: false,
  });
  await build.close();
}

await main(async () => {
  for (const [name, file] of Object.entries(ENTRANCES)) await bundle(name, file);
  await mustRun([...tool('typescript', 'tsc'), '--project', 'tsconfig.json']);
});
