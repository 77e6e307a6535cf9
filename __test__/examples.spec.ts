import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { GUIDE, read } from './helpers/documents.ts';
import { node, ROOT } from './helpers/scripts.ts';

const RUNNABLE = /\.(?:[cm]?js|[cm]?ts)$/;
/** A fenced block whose info string says `run`: ```js run */
const BLOCK = /^```(js|ts) run$\n([\s\S]*?)^```$/gm;

/** The file extension distinguishes ESM, CommonJS and TypeScript; blocks are ESM unless they call require. */
const ending = (language: string, source: string): string => {
  const commonjs = /\brequire\(['"]clustered-cache/.test(source);
  if (language === 'ts') return commonjs ? 'cts' : 'mts';
  return commonjs ? 'cjs' : 'mjs';
};

/** `expression; // → value` becomes a comparison of the two. */
const compared = (source: string): string => source.replaceAll(/^(.+); \/\/ → (.+)$/gm, 'assert.deepEqual($1, $2);');
const STRICT = {
  esm: "import assert from 'node:assert/strict';\n",
  cjs: "const assert = require('node:assert/strict');\n",
};

const run = (file: string, cwd: string) =>
  node([...(file.endsWith('ts') ? [`--import=${import.meta.resolve('tsx')}`] : []), file], { cwd, ms: 40_000 });

const examples = readdirSync(path.join(ROOT, 'examples'), { withFileTypes: true })
  .filter((entry) => entry.isFile() && RUNNABLE.test(entry.name))
  .map(({ name }) => name);

test('there are examples', (t) => {
  t.true(examples.length >= 4, examples.join());
});

for (const name of examples) {
  test(`examples/${name} runs to its end`, async (t) => {
    const outcome = await run(path.join(ROOT, 'examples', name), ROOT);
    t.is(outcome.code, 0, `${outcome.stdout}\n${outcome.stderr}`);
    t.false(outcome.hung);
    t.is(outcome.stderr, '');
    t.true(outcome.stdout.length > 0, 'it shows something');
  });
}

let project: string;
test.before(() => {
  project = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'cc-readme-')));
  mkdirSync(path.join(project, 'node_modules'));
  symlinkSync(ROOT, path.join(project, 'node_modules', 'clustered-cache'), 'dir');
});
test.after.always(() => rmSync(project, { recursive: true, force: true }));

const blocks = GUIDE.flatMap((file) =>
  [...read(file).matchAll(BLOCK)].map(([, language, source], index) => ({
    title: `${file}, runnable block ${index + 1}`,
    name: `${file.replace(/\W/g, '-')}-${index + 1}.${ending(language!, source!)}`,
    source: (/\brequire\(/.test(source!) ? STRICT.cjs : STRICT.esm) + compared(source!),
  })),
);

for (const page of ['README.md', 'docs/api.md', 'docs/semantics.md', 'docs/errors.md']) {
  test(`${page} has blocks that run`, (t) => {
    t.true(blocks.some(({ title }) => title.startsWith(page)));
  });
}

test('blocks on pages in folders below docs are included', (t) => {
  t.true(GUIDE.some((page) => page.startsWith('docs/design/')));
});

for (const { title, name, source } of blocks) {
  test(`${title} runs to its end`, async (t) => {
    const file = path.join(project, name);
    writeFileSync(file, source);
    const outcome = await run(file, project);
    t.is(outcome.code, 0, `${source}\n${outcome.stdout}\n${outcome.stderr}`);
    t.false(outcome.hung);
    t.is(outcome.stderr, '');
  });
}
