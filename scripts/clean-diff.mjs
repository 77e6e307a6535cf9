// Checks, after a build, that generated files in the repository are as committed.

import { existsSync } from 'node:fs';
import { at, main, mustRun } from './support/project.mjs';

const GENERATED = ['binding.js', 'binding.d.ts', 'index.d.ts', 'package-lock.json', 'Cargo.lock', 'npm'];

await main(async () => {
  if (!existsSync(at('.git'))) {
    console.log('Not a git checkout: nothing to compare with.');
    return;
  }
  const changed = await mustRun(['git', 'status', '--porcelain', '--', ...GENERATED]);
  if (changed) {
    const diff = await mustRun(['git', 'diff', '--', ...GENERATED]);
    throw new Error(
      `These differ from what is committed. Commit what the build wrote:\n${changed}\n${diff.slice(0, 4_000)}`,
    );
  }
  console.log(`as committed: ${GENERATED.join(', ')}`);
});
