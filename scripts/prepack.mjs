// Runs before `npm pack` and `npm publish`: refuses a tarball that lacks a file, or whose parts have different
// versions.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { at, main, manifest, mustRun, readJson } from './support/project.mjs';

/** Every place that has the version. They must be raised together, or a release mixes two versions. */
function* versions() {
  yield ['Cargo.toml', /^\[workspace\.package\]\nversion = "(.+)"$/m.exec(readFileSync(at('Cargo.toml'), 'utf8'))?.[1]];
  yield ['package-lock.json', readJson(at('package-lock.json')).version];
  for (const platform of readdirSync(at('npm'))) {
    yield [`npm/${platform}/package.json`, readJson(at('npm', platform, 'package.json')).version];
  }
}

await main(async () => {
  await mustRun([process.execPath, at('scripts', 'ensure.mjs'), 'typescript']);

  const listed = manifest.files.filter((file) => !file.startsWith('!'));
  const missing = [...listed, 'README.md', 'LICENSE'].filter((file) => !existsSync(at(file)));
  if (missing.length > 0) throw new Error(`The package lists files that do not exist: ${missing.join(', ')}`);

  const other = [...versions()].filter(([, version]) => version !== manifest.version);
  if (other.length > 0) {
    const list = other.map(([where, version]) => `  ${where}: ${version}`).join('\n');
    throw new Error(`package.json has version ${manifest.version}, but other places differ:\n${list}`);
  }
});
