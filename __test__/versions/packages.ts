import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import test from 'ava';
import type { Agent, Agents } from '../helpers/agents.ts';
import { ROOT } from '../helpers/scripts.ts';

/** The folder of the older build; `scripts/versions.mjs` makes it and says where it is. */
const OLDER = process.env.CC_TEST_OLDER;

/** The minor version of the protocol that the older build speaks. */
export const { minor: OLDER_MINOR } = JSON.parse(readFileSync(new URL('./older.json', import.meta.url), 'utf8')) as {
  minor: number;
};

/** Two builds of different minor versions of the protocol. */
export type Version = 'older' | 'newer';

const FOLDERS: Readonly<Record<Version, string>> = { older: OLDER ?? '', newer: ROOT };

/** One beside the other, and the other way round. */
export const PAIRS: readonly (readonly [Version, Version])[] = [
  ['older', 'newer'],
  ['newer', 'older'],
];

/** Tests of two builds: `npm run test:versions` runs them, the suite by itself passes them over. */
export const versions = OLDER === undefined || process.platform === 'win32' ? test.serial.skip : test.serial;
/** Those that have to know which process hosts. */
export const elections = process.platform === 'linux' ? versions : test.serial.skip;

/** The file that a process loads the package from. */
export const packageOf = (version: Version): string => path.join(FOLDERS[version], 'index.js');

/** Environment of a process of the fixtures that loads that build. */
export const loading = (version: Version): { CC_TEST_PACKAGE: string } => ({ CC_TEST_PACKAGE: packageOf(version) });

/** Starts a process that loads that build. */
export const spawn = (agents: Agents, version: Version): Promise<Agent> =>
  agents.spawn('process.cjs', { env: loading(version) });

/** The names of all operations that a build knows. */
export function operationsOf(version: Version): string[] {
  const { OperationNumber } = createRequire(import.meta.url)(path.join(FOLDERS[version], 'binding.js'));
  return Object.keys(OperationNumber).filter((name) => Number.isNaN(Number(name)));
}
