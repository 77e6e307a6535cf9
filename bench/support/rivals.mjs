// The rivals are not dependencies of the package: they are installed here when the benchmark is first run.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { mustRun, npm, readJson } from '../../scripts/support/project.mjs';

const FOLDER = fileURLToPath(new URL('../', import.meta.url));
const STAMP = `${FOLDER}node_modules/.installed`;

export async function installRivals() {
  const lock = createHash('sha256')
    .update(readFileSync(`${FOLDER}package-lock.json`))
    .digest('hex');
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === lock) return;
  console.log('installing the contenders into bench/node_modules ...');
  await mustRun([...npm(), 'ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: FOLDER });
  await writeFile(STAMP, lock);
}

/** The installed version of each rival. */
export function rivalVersions() {
  const { dependencies } = readJson(`${FOLDER}package.json`);
  return Object.fromEntries(
    Object.keys(dependencies).map((name) => [name, readJson(`${FOLDER}node_modules/${name}/package.json`).version]),
  );
}
