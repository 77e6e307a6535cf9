// Packs the package and this machine's platform package as they would be published, and uses them as a user would:
// installed into an empty project, from ES modules, CommonJS and TypeScript. Then publint and are-the-types-wrong.
// Everything happens in a temporary folder; the working tree is left as it is.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pack, platformPackage, project, writeJson } from './support/packing.mjs';
import { at, main, manifest, mustRun, npm, seconds, tool } from './support/project.mjs';

/** The compiler options of each flavour of TypeScript project, in addition to `strict` and stricter ones. */
const TYPESCRIPT_PROJECTS = {
  nodenext: { type: 'module', compilerOptions: { module: 'nodenext' } },
  commonjs: { type: 'commonjs', compilerOptions: { module: 'commonjs', moduleResolution: 'node10' } },
  // The oldest version that the README names.
  oldest: { type: 'module', compilerOptions: { module: 'nodenext' }, typescript: '5.0.4' },
};

const STRICT = {
  target: 'es2022',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  // The package's declarations are checked too, not only their use.
  skipLibCheck: false,
  types: ['node'],
  outDir: 'out',
};

const temporary = mkdtempSync(join(tmpdir(), 'clustered-cache-pack-'));

async function step(name, body) {
  const start = performance.now();
  const result = await body();
  console.log(`${name}: ${seconds(start)}`);
  return result;
}

/** Packs a folder; resolves to the tarball's path. Refuses files that only a build or a test needs. */
async function packStrictly(folder) {
  const { name, tarball, paths } = await pack(folder, temporary);
  const stray = paths.filter(
    (path) => name === manifest.name && !/^(lib\/.*\.(js|d\.ts)|docs\/.*\.md|[^/]+)$/.test(path),
  );
  if (stray.length > 0)
    throw new Error(`The tarball of ${name} has files that do not belong there: ${stray.join(', ')}`);
  return tarball;
}

async function useFromJavaScript(tarballs) {
  const folder = await project(temporary, 'javascript', 'commonjs', tarballs);
  for (const file of ['use.mjs', 'use.cjs']) {
    copyFileSync(at('scripts', 'consumer', file), join(folder, file));
    await mustRun([process.execPath, file], { cwd: folder });
  }
}

async function useFromTypeScript(flavour, tarballs) {
  const { typescript: own, '@types/node': node } = manifest.devDependencies;
  const { type, compilerOptions, typescript = own } = TYPESCRIPT_PROJECTS[flavour];
  const pinned = [`typescript@${typescript}`, `@types/node@${node}`];
  const folder = await project(temporary, flavour, type, [...tarballs, ...pinned]);
  copyFileSync(at('scripts', 'consumer', 'use.ts'), join(folder, 'use.ts'));
  writeJson(join(folder, 'tsconfig.json'), {
    compilerOptions: { ...STRICT, ...compilerOptions },
    files: ['use.ts'],
  });
  await mustRun([process.execPath, 'node_modules/typescript/bin/tsc'], { cwd: folder });
  await mustRun([process.execPath, 'out/use.js'], { cwd: folder });
}

/** The program, under the name that npm gives it. */
async function useProgram(tarballs) {
  const folder = await project(temporary, 'program', 'commonjs', tarballs);
  const printed = (
    await mustRun([...npm(), 'exec', '--offline', '--', 'clustered-cache', '--version'], { cwd: folder })
  ).trim();
  if (printed.split('\n').at(-1) !== manifest.version) {
    throw new Error(`clustered-cache --version should print ${manifest.version}; it printed: ${printed}`);
  }
}

/** Without a platform package, the user gets an error with a code that says so, and not a stack of require calls. */
async function useWithoutAddon(tarball) {
  const folder = await project(temporary, 'without-addon', 'commonjs', [tarball]);
  const print = `try { require('clustered-cache') } catch (error) { console.log(error.code) }`;
  const printed = (await mustRun([process.execPath, '--eval', print], { cwd: folder })).trim();
  if (printed !== 'ERR_CC_NATIVE_MISSING') {
    throw new Error(`Without the addon, loading should fail with ERR_CC_NATIVE_MISSING; it printed: ${printed}`);
  }
}

await main(async () => {
  try {
    const tarball = await step('pack', () => packStrictly(at()));
    const tarballs = [tarball, await step('pack the addon', () => packStrictly(platformPackage(temporary)))];
    await step('use from ES modules and CommonJS', () => useFromJavaScript(tarballs));
    for (const flavour of Object.keys(TYPESCRIPT_PROJECTS)) {
      await step(`use from TypeScript, module ${flavour}`, () => useFromTypeScript(flavour, tarballs));
    }
    await step('use the program', () => useProgram(tarballs));
    await step('use without the addon', () => useWithoutAddon(tarball));
    await step('publint', () => mustRun([...tool('publint'), 'run', tarball, '--strict']));
    await step('are the types wrong', () => mustRun([...tool('@arethetypeswrong/cli', 'attw'), tarball]));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
});
