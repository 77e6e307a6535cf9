import { readFileSync, readdirSync } from 'node:fs';
import test from 'ava';
import { ClusteredCache, ClusteredCacheError, isClusteredCacheError } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { ROOT, script } from './helpers/scripts.ts';

const read = (file: string): string => readFileSync(`${ROOT}${file}`, 'utf8');

/** `Kind -> code`, from the core's table. */
const kinds = new Map(
  [...read('crates/core/src/error.rs').matchAll(/^ {4}(\w+) = "(ERR_CC_\w+)", (?:Caller|Local|Peer);$/gm)].map(
    ([, kind, code]) => [kind!, code!],
  ),
);
const codes = [...kinds.values()].sort();
const codesIn = (file: string): string[] => [...new Set(read(file).match(/ERR_CC_[A-Z_]+[A-Z]/g))].sort();

test("the core's table has unique codes", (t) => {
  t.true(kinds.size > 20);
  t.is(new Set(codes).size, kinds.size);
});

test('the TypeScript layer lists the same codes', (t) => {
  t.deepEqual(codesIn('ts/errors.ts'), codes);
});

test('the documentation explains the same codes', (t) => {
  t.deepEqual(codesIn('docs/errors.md'), codes);
  const headings = read('docs/errors.md')
    .split('\n')
    .filter((line) => /^(#+ |\|).*ERR_CC_/.test(line));
  for (const code of codes)
    t.true(
      headings.some((line) => line.includes(code)),
      `${code} has a heading or a row of its own`,
    );
});

test('every code the TypeScript layer throws is in the table', (t) => {
  const files = readdirSync(`${ROOT}ts`, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  t.true(files.length > 20);
  for (const file of files) {
    for (const code of read(`ts/${file}`).match(/ERR_CC_[A-Z_]+[A-Z]/g) ?? []) {
      t.true(codes.includes(code), `${file}: ${code}`);
    }
  }
});

test('programming errors are TypeErrors and RangeErrors, all others are ClusteredCacheErrors', async (t) => {
  const cache = new ClusteredCache<string, unknown>({ namespace: 'error-classes' });
  t.true((await failsWith(t, cache.get(null as never), 'ERR_CC_INVALID_KEY')) instanceof TypeError);
  await cache.set('n', Number.MAX_VALUE);
  t.true((await failsWith(t, cache.incr('n', Number.MAX_VALUE), 'ERR_CC_OUT_OF_RANGE')) instanceof RangeError);
  await cache.close();
  const closed = await failsWith(t, cache.get('key'), 'ERR_CC_CLOSED');
  t.true(closed instanceof ClusteredCacheError && closed instanceof Error);
  t.is(closed.name, 'ClusteredCacheError');
});

test('isClusteredCacheError is false for any other thrown value', (t) => {
  for (const other of [
    new Error('x'),
    Object.assign(new Error('x'), { code: 'ENOENT' }),
    undefined,
    null,
    'ERR_CC_CLOSED',
    5,
    {},
  ]) {
    t.false(isClusteredCacheError(other), String(other));
  }
});

test("an error's stack leads to the caller", async (t) => {
  const cache = new ClusteredCache({ namespace: 'error-stack' });
  async function thisIsTheCaller() {
    return await cache.get(undefined as never);
  }
  const error = await failsWith(t, thisIsTheCaller(), 'ERR_CC_INVALID_KEY');
  t.regex(error.stack ?? '', /thisIsTheCaller/);
  await cache.close();
});

test('an error prints with its code', async (t) => {
  const outcome = await script(`new cc.ClusteredCache({ max: -1 })`);
  t.is(outcome.code, 1);
  t.regex(outcome.stderr, /ERR_CC_INVALID_OPTION/);
  t.regex(outcome.stderr, /max/);
});
