// What follows from the table of operations and from their definitions: which of them can be requested from JavaScript,
// the methods of a cache, their synchronous twins, and the methods of a view.
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { ClusteredCache, wrap } from '../index.js';
import { ClusteredCache as Source } from '../ts/cache.ts';
import { native } from '../ts/native.ts';
import { METHODS, isCoded } from '../ts/operations/methods.ts';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { ROOT } from './helpers/scripts.ts';

const each = rolesOf(test);

/** Connections are opened, kept and handed over by native code. */
const NATIVE_ONLY = ['Introduce', 'StandBy', 'Ready', 'Open', 'Release'];

/** Synchronous methods that a view has: those that work in every process. */
const SYNC_ON_VIEWS = ['getSync', 'peekSync', 'hasSync'];

interface Defined {
  constant: string;
  definition: { number?: number; method?: string };
}

/** What the files in `ts/operations` define. */
async function definitions(): Promise<Defined[]> {
  const files = readdirSync(`${ROOT}ts/operations`);
  const modules = await Promise.all(files.map((file) => import(`../ts/operations/${file}`) as Promise<object>));
  const exported = modules.flatMap((module) => Object.entries(module) as [string, unknown][]);
  const isDefinition = (value: unknown) => typeof value === 'object' && value !== null && 'method' in value;
  return exported
    .filter(([, value]) => isDefinition(value))
    .map(([constant, value]) => ({ constant, definition: value as Defined['definition'] }));
}

/** The public members of caches. */
function members(): string[] {
  const names = new Set<string>();
  for (let prototype = ClusteredCache.prototype; prototype; prototype = Object.getPrototypeOf(prototype)) {
    if (prototype === Object.prototype) break;
    for (const name of Object.getOwnPropertyNames(prototype)) names.add(name);
  }
  // What TypeScript calls protected.
  for (const name of ['call', 'callNow', 'run', 'runNow', 'closedError']) names.delete(name);
  return [...names];
}

test('every operation of the table is defined in TypeScript, or is requested by native code alone', async (t) => {
  const defined = new Set((await definitions()).map(({ definition }) => definition.number));
  const missing = native.operations().filter(({ number }) => !defined.has(number));
  t.deepEqual(missing.map(({ name }) => name).sort(), [...NATIVE_ONLY].sort());
});

test('every operation that is defined is requested somewhere', async (t) => {
  const files = readdirSync(`${ROOT}ts`, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const all = files
    .map((file) => readFileSync(`${ROOT}ts/${file}`, 'utf8').replaceAll(/^import [^;]*;$/gm, ''))
    .join('\n');
  const isUsed = (constant: string) => [...all.matchAll(new RegExp(`\\b${constant}\\b`, 'g'))].length >= 2;
  t.deepEqual(
    (await definitions()).map(({ constant }) => constant).filter((constant) => !isUsed(constant)),
    [],
  );
});

test('the methods of all families are known, each by a name of its own', async (t) => {
  const named = (await definitions()).flatMap(({ definition }) => definition.method ?? []);
  const known = METHODS.map(({ method }) => method);
  t.deepEqual([...known].sort(), named.sort());
  t.is(new Set(known).size, known.length);
});

test('every method that has a definition is there, and its synchronous twin if it is to have one', (t) => {
  const prototype = ClusteredCache.prototype as unknown as Record<string, unknown>;
  for (const { method, sync } of METHODS) {
    t.is(typeof prototype[method], 'function', method);
    t.is(typeof prototype[`${method}Sync`], sync ? 'function' : 'undefined', `${method}Sync`);
    if (sync) t.is((prototype[`${method}Sync`] as Function).name, `${method}Sync`);
  }
  const twins = members().filter((name) => name.endsWith('Sync'));
  t.deepEqual(twins.sort(), METHODS.flatMap(({ method, sync }) => (sync ? `${method}Sync` : [])).sort());
});

each('every method that changes or lists entries at once says in a client what to do instead', async (t, bench) => {
  const opened = await bench.open();
  t.is(opened.role, bench.role);
  if (bench.role === 'host') return;
  const cache = opened as unknown as Record<string, () => unknown>;
  for (const { method, sync } of METHODS) {
    if (!sync || ['get', 'peek', 'has'].includes(method)) continue;
    const call = async () => cache[`${method}Sync`]!();
    const error = await failsWith(t, call, 'ERR_CC_NOT_HOST');
    t.true(error.message.startsWith(`${method}Sync() was called in a client: `), error.message);
    t.true(error.message.endsWith(`; await ${method}() instead`), error.message);
  }
});

each('a view has every member but the synchronous methods of the host', async (t, { open }) => {
  const view = wrap(await open(), { encode: (value: unknown) => value, decode: (value) => value });
  const methods = members().filter((name) => !name.endsWith('Sync') && name !== 'constructor');
  const expected = [...methods, ...SYNC_ON_VIEWS, 'namespace'];
  t.deepEqual(Object.keys(view).sort(), [...expected, 'cache'].sort());
});

test('a view encodes the value among the arguments and decodes a result that is one', async (t) => {
  const calls: unknown[][] = [];
  const method = async (...args: unknown[]) => (calls.push(args), 'stored');
  const names = [...METHODS.map(({ method }) => method), ...members()];
  const cache = Object.fromEntries(names.map((name) => [name, method]));
  const codec = { encode: (value: unknown) => `encoded ${value}`, decode: (value: unknown) => `decoded ${value}` };
  const view = wrap(cache as never, codec) as unknown as Record<string, typeof method>;
  for (const definition of METHODS.filter(isCoded)) {
    const given = ['a', 'b', 'c', 'd'];
    const answer = await view[definition.method]!(...given);
    t.is(answer, definition.givesValue ? 'decoded stored' : 'stored', definition.method);
    const at = definition.valueAt;
    t.deepEqual(calls.pop(), at < 0 ? given : given.with(at, `encoded ${given[at]}`), definition.method);
  }
});

test('a method requests the operation of its definition, with all its arguments', (t) => {
  const answer = Promise.resolve();
  let requested: unknown[] = [];
  const request = (...args: unknown[]) => ((requested = args), answer);
  const cache = Object.create(Source.prototype, {
    call: { value: request },
    run: { value: request },
    // A client that asks the host for everything.
    closedError: { value: undefined },
    link: { value: {} },
    transport: { value: 'socket' },
  }) as Record<string, (...args: string[]) => unknown>;
  for (const definition of METHODS) {
    // It has a private part.
    if (definition.method === 'get') continue;
    const method = cache[definition.method]!;
    const given = ['a', 'b', 'c', 'd'].slice(0, method.length);
    t.is(method.call(cache, ...given), answer, definition.method);
    t.deepEqual(requested, [definition, ...given], definition.method);
  }
});

test('values and options are what the definition of a method says that they are', (t) => {
  const prototype = Source.prototype as unknown as Record<string, () => unknown>;
  for (const definition of METHODS) {
    if ('run' in definition) continue;
    const [, parameters = ''] = /\(([^)]*)\)/.exec(String(prototype[definition.method])) ?? [];
    const names = parameters.split(',').map((name) => name.trim());
    t.is(names.indexOf('value'), definition.valueAt, definition.method);
    t.is(names.indexOf('options'), definition.optionsAt, definition.method);
  }
});

test('every method is described on the page of the API', (t) => {
  const page = readFileSync(`${ROOT}docs/api.md`, 'utf8');
  t.deepEqual(
    METHODS.map(({ method }) => method).filter((method) => !page.includes(`\`${method}(`)),
    [],
  );
});

test('the page of the semantics has what every method does without a host', (t) => {
  const [, section = ''] = readFileSync(`${ROOT}docs/semantics.md`, 'utf8').split('## When the host is away');
  const table = section.split('\n\n').find((block) => block.startsWith('| operation')) ?? '';
  const rows = table.matchAll(/^\| (`[^|]*) \| ([^|]*) \|/gm);
  const documented = [...rows].flatMap(([, methods = '', result = '']) =>
    [...methods.matchAll(/`(\w+)`/g)].map(([, method = '']) => [method, result.startsWith('rejects')] as const),
  );
  const rejects = new Map(documented);
  for (const definition of METHODS) {
    t.true(rejects.has(definition.method), definition.method);
    if ('run' in definition) continue;
    t.is(rejects.get(definition.method), typeof definition.withoutHost === 'symbol', definition.method);
  }
});
