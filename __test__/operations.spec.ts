// Every operation of the core's table can be requested from JavaScript, or is one that only native code requests.
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { native } from '../ts/native.ts';
import { ROOT } from './helpers/scripts.ts';

/** Connections are opened, kept and handed over by native code. */
const NATIVE_ONLY = ['StandBy', 'Ready', 'Open', 'Release'];

const sources = readdirSync(`${ROOT}ts`, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(`${ROOT}ts/${file}`, 'utf8'));

/** The names of the operations that `ts/operations` defines, each with the constant that has its definition. */
const defined = new Map(
  sources
    .flatMap((text) => [...text.matchAll(/const (\w+) = (?:operation|storing)\(\{\s*number: OperationNumber\.(\w+)/g)])
    .map(([, constant, name]) => [name as string, constant as string]),
);

test('every operation of the table is defined in TypeScript, or is requested by native code alone', (t) => {
  const table = native.operations().map(({ name }) => name);
  t.deepEqual([...defined.keys(), ...NATIVE_ONLY].sort(), table.sort());
});

test('every operation that is defined is requested somewhere', (t) => {
  const all = sources.map((text) => text.replaceAll(/^import [^;]*;$/gm, '')).join('\n');
  const unused = [...defined.values()].filter(
    (constant) => [...all.matchAll(new RegExp(`\\b${constant}\\b`, 'g'))].length < 2,
  );
  t.deepEqual(unused, []);
});
