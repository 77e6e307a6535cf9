/**
 * Tells an application that PM2 starts through other programs (`pm2 start npm -- start`, a shell script, `tsx` as the
 * interpreter) from a helper of an application. Both are descendants of PM2's daemon with its environment.
 */

import type * as ChildProcess from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

/** A process above this one. */
export interface Ancestor {
  parent: number;
  /** The name of its executable. */
  program: string;
  /** Its command line, or the title that it has given itself. */
  command: string;
}

/** More processes are not between a daemon and an application. */
const MOST = 16;

/** Programs that can load this package. */
const RUNTIME = /^(node|nodejs|iojs|bun|deno)(\.exe)?$/i;

/** Programs written for Node that start an application and do not belong to it, by the names of their scripts. */
const TOOL =
  /^(npm|npx|yarn|yarnpkg|pnpm|pnpx|corepack|tsx|ts-node|ts-node-dev|tsnd|nodemon|cross-env|cross-env-shell|dotenv|dotenvx|env-cmd|npm-run-all|run-s|run-p|concurrently|babel-node|swc-node|esno|esmo)(-cli)?(-\d[\d.]*)?(\.(c|m)?js)?$/;

/**
 * Whether all processes between `daemon` and this one are programs that only start others. `undefined` if this process
 * does not descend from `daemon`, or the system does not tell.
 */
export function isStartedThroughTools(daemon: number, ancestorOf: (pid: number) => Ancestor): boolean | undefined {
  try {
    let pid = process.ppid;
    let through = true;
    for (let steps = 0; steps < MOST && pid > 1; steps++) {
      if (pid === daemon) return through;
      const ancestor = ancestorOf(pid);
      through &&= isTool(ancestor);
      pid = ancestor.parent;
    }
  } catch {
    // A process between has ended: then nothing can be said.
  }
  return undefined;
}

function isTool({ program, command }: Ancestor): boolean {
  if (!RUNTIME.test(program)) return true;
  // Tools set titles such as "npm start".
  const [title = '', ...rest] = command.split(/[\0 ]+/);
  const script = RUNTIME.test(path.basename(title)) ? rest.find((word) => !word.startsWith('-')) : title;
  if (script === undefined) return false;
  const steps = script.split(/[\\/]/);
  const inPackage = steps[steps.lastIndexOf('node_modules') + 1] ?? '';
  return TOOL.test(steps.at(-1) as string) || (steps.includes('node_modules') && TOOL.test(inPackage));
}

/** What the system tells of a process. */
export const systemAncestor = (pid: number): Ancestor => (process.platform === 'linux' ? fromProc(pid) : fromPs(pid));

function fromProc(pid: number): Ancestor {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name before the state is in parentheses, and may contain anything.
  const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  return { parent, program: path.basename(readlinkSync(`/proc/${pid}/exe`)), command };
}

function fromPs(pid: number): Ancestor {
  // Loaded here, because it would add to the time that this package takes to load.
  const { execFileSync } = require('node:child_process') as typeof ChildProcess;
  const of = (field: string) => execFileSync('ps', ['-o', `${field}=`, '-p', String(pid)], { encoding: 'utf8' }).trim();
  return { parent: Number(of('ppid')), program: path.basename(of('comm')), command: of('args') };
}
