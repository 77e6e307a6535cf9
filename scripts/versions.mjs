// This build and an older one, of another minor version of the protocol, in one application: as clients and hosts of
// each other, through handovers and snapshots. The older one is built from the commit in __test__/versions/older.json,
// into a folder under target/, and kept there for the next time.
//
//   npm run test:versions -- [arguments of ava]

import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { at, main, mustRun, readJson, run, tool } from './support/project.mjs';

const { commit } = readJson(at('__test__', 'versions', 'older.json'));
const folder = at('target', 'versions', commit);

/** Shared memory is read where both builds have one layout of it, which no version promises. */
const MODES = { '': 'the memory of hosts of their own layout, all else over the socket', socket: 'over the socket' };

const git = (...args) => run(['git', ...args], { onLine: () => {} });

/** Makes sure that the commit is here: a checkout for CI mostly has the newest one alone. */
async function requireCommit() {
  const { code } = await git('cat-file', '-e', `${commit}^{commit}`);
  if (code === 0) return;
  const { code: notOurs, output } = await git('rev-parse', '--is-shallow-repository');
  const what = `The older build is made from commit ${commit}`;
  if (notOurs !== 0) throw new Error(`${what}, and this is no git checkout: clone the repository, with its history.`);
  if (output.trim() === 'true') {
    throw new Error(
      `${what}, which is not here, because this clone is shallow. The check needs the full history: ` +
        'run `git fetch --unshallow`, or set `fetch-depth: 0` where a workflow checks out.',
    );
  }
  throw new Error(`${what}, which is not in this clone: run \`git fetch\`.`);
}

/** Writes the files of the commit to the folder, all or none. */
async function extract() {
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  const archive = path.join(part, 'commit.tar');
  await mustRun(['git', 'archive', '--format=tar', `--output=${archive}`, commit]);
  await mustRun(['tar', '-xf', 'commit.tar'], { cwd: part });
  rmSync(archive);
  renameSync(part, folder);
}

await main(async () => {
  if (!existsSync(folder)) {
    await requireCommit();
    await extract();
  }
  console.log(`# the older build, in ${path.relative(at(), folder)}`);
  // It knows by itself what it has still to do.
  const built = await run([process.execPath, path.join(folder, 'scripts', 'ensure.mjs')], { cwd: folder });
  if (built.code !== 0) throw new Error('the older build cannot be made');
  for (const [mode, how] of Object.entries(MODES)) {
    console.log(`\n== clients read ${how} (CLUSTERED_CACHE_TRANSPORT=${mode})`);
    const args = ['--timeout=5m', '__test__/versions/*.spec.ts', ...process.argv.slice(2)];
    const env = { CC_TEST_OLDER: folder, CLUSTERED_CACHE_TRANSPORT: mode };
    const { code } = await run([...tool('ava'), ...args], { env });
    if (code !== 0) process.exitCode = code;
  }
});
