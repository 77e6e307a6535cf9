// Records the inputs of a build by content: a checkout that changes only dates causes no rebuild.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at } from './project.mjs';

/** Folders within an input that do not affect the result. */
const OUTSIDE = new Set(['tests', 'benches', 'target', 'node_modules']);

function* filesUnder(path) {
  if (!existsSync(at(path))) return;
  if (statSync(at(path)).isFile()) return yield path;
  for (const name of readdirSync(at(path)).sort()) {
    if (!OUTSIDE.has(name)) yield* filesUnder(join(path, name));
  }
}

/** A hash of the named files and folders, and of any further facts the result depends on. */
export function fingerprint(inputs, facts = []) {
  const hash = createHash('sha256').update(JSON.stringify(facts));
  for (const path of inputs.flatMap((input) => [...filesUnder(input)])) {
    const content = readFileSync(at(path));
    hash.update(`\n${path} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}

const stampFile = (name) => at('.stamps', name);

export const isStamped = (name, print) =>
  existsSync(stampFile(name)) && readFileSync(stampFile(name), 'utf8') === print;

/** Must be called before the work begins, so that interrupted work leaves no stamp. */
export const unstamp = (name) => rmSync(stampFile(name), { force: true });

export function stamp(name, print) {
  mkdirSync(at('.stamps'), { recursive: true });
  writeFileSync(stampFile(name), print);
}
