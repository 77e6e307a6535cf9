// A panic in native code becomes an error. The sources of the addon are read, so that no function is forgotten.
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { native } from '../ts/native.ts';
import { node, ROOT } from './helpers/scripts.ts';

interface Source {
  file: string;
  text: string;
}

/** A function or struct that napi-rs exports. */
interface Item {
  file: string;
  /** What its attribute says in parentheses. */
  attribute: string;
  /** Everything from `pub` to the name. */
  kind: string;
  name: string;
  body: string;
}

const CONTAINED = 'the body of an exported function is `contained(|| …)`, and its attribute has `catch_unwind`';

const sources = readdirSync(`${ROOT}src`, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.rs'))
  .map((file): Source => ({ file, text: withoutComments(readFileSync(`${ROOT}src/${file}`, 'utf8')) }));

function withoutComments(source: string): string {
  return source.replaceAll(/^\s*\/\/.*$/gm, '');
}

/** What stands between the brace after `from` and the one that closes it. */
function bodyAfter(text: string, from: number): string {
  const start = text.indexOf('{', from);
  return text.slice(start + 1, closing(text, start)).trim();
}

/** Where the bracket at `start` is closed. */
function closing(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    if ('({['.includes(text[at]!)) depth++;
    else if (')}]'.includes(text[at]!) && --depth === 0) return at;
  }
  return text.length;
}

/** What the attributes of napi-rs stand in front of. */
function exportedItems({ file, text }: Source): Item[] {
  const attributes =
    /#\[(?:napi_derive::|napi::)?napi(?:\(((?:"[^"]*"|[^"\]])*)\))?\]\s*(?:#\[[^\]]*\]\s*)*((?:[\w()]+\s+)*?(?:fn|struct))\s+(\w+)/g;
  return Array.from(text.matchAll(attributes), ({ 1: attribute = '', 2: kind, 3: name, index, 0: { length } }) => {
    return { file, attribute, kind: kind!, name: name!, body: bodyAfter(text, index + length) };
  });
}

/** Functions that C calls. */
function callbacks({ file, text }: Source) {
  return Array.from(text.matchAll(/extern "C" fn (\w+)/g), ({ 1: name, index }) => {
    return { file, name: name!, body: bodyAfter(text, index) };
  });
}

const isContained = (body: string) =>
  body.startsWith('contained(|| ') && closing(body, 'contained'.length) === body.length - 1;
const camel = (name: string) => name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());

const items = sources.flatMap(exportedItems);
const functions = items.filter(({ kind }) => kind.endsWith('fn'));
const classes = items.filter(({ kind, attribute }) => kind.endsWith('struct') && !/\bobject\b/.test(attribute));

test('every exported function contains its panics', (t) => {
  for (const { file, name, kind, attribute, body } of functions) {
    const isAsync = kind.includes('async');
    t.true(!isAsync && /\bcatch_unwind\b/.test(attribute) && isContained(body), `${file}: ${name}: ${CONTAINED}`);
  }
});

test('all functions that the addon exports are found in its sources', (t) => {
  const known = new Set(
    functions.map(({ name, attribute }) => /js_name = "(\w+)"/.exec(attribute)?.[1] ?? camel(name)),
  );
  const exported = Object.entries(native).filter(([, value]) => typeof value === 'function') as [string, Function][];
  const names = exported.flatMap(([name, { prototype }]) => {
    if (!classNames.has(name)) return [name];
    const own = (object: object) => Object.entries(Object.getOwnPropertyDescriptors(object));
    const isFunction = ([, { value, get }]: [string, PropertyDescriptor]) => typeof (value ?? get) === 'function';
    const methods = [...own(prototype as object), ...own(native[name as keyof typeof native] as object)];
    return methods
      .filter(isFunction)
      .map(([method]) => method)
      .filter((method) => method !== 'constructor');
  });
  t.true(names.length > 30, `${names.length} functions`);
  t.deepEqual(
    names.filter((name) => !known.has(name)),
    [],
  );
});

const classNames = new Set(classes.map(({ name, attribute }) => /js_name = "(\w+)"/.exec(attribute)?.[1] ?? name));

test('every class contains what dropping it panics with', (t) => {
  t.true(classes.length > 3);
  for (const { file, name, attribute } of classes) {
    const { text } = sources.find((source) => source.file === file)!;
    const finalize = bodyAfter(text, text.indexOf(`impl ObjectFinalize for ${name} `));
    const contains = /\bcustom_finalize\b/.test(attribute) && finalize.includes('ignored(|| drop(self))');
    t.true(contains, `${file}: ${name}: \`custom_finalize\` and an \`ObjectFinalize\` that drops inside \`ignored\``);
  }
});

test('every function that Node calls without napi-rs contains its panics', (t) => {
  const found = sources.flatMap(callbacks);
  const called = sources.find(({ file }) => file === 'direct.rs')!.text;
  t.true(bodyAfter(called, called.indexOf('unsafe fn called<')).includes('caught(|| method('));
  t.true(found.length >= 5);
  for (const { file, name, body } of found) t.regex(body, /\b(?:ignored\(\|\| |called::<)/, `${file}: ${name}`);
});

test('nothing else of napi-rs makes a function that Node calls', (t) => {
  const others =
    /\b(?:module_init|module_exports|js_function|create_function_from_closure|add_env_cleanup_hook|AsyncTask)\b/;
  for (const { file, text } of sources) t.notRegex(text, others, file);
});

test('a panic is an error with a code, and the process continues', async (t) => {
  // The JavaScript layer checks every number; without it, this is no duration, and `Duration` panics.
  const script = `
    const native = require('./binding.js');
    try {
      native.leave(NaN);
    } catch ({ code, message }) {
      console.log(code, message, native.isHosting());
    }`;
  const { code, stdout, stderr } = await node(['-e', script]);
  t.is(stdout, 'ERR_CC_INTERNAL clustered-cache met a bug of its own; please report it false\n', stderr);
  t.is(code, 0);
});
