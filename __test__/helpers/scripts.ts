import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { DEADLINE, until } from './wait.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** The deadline passed and the process was killed. */
  hung: boolean;
}

export interface ScriptOptions {
  args?: string[];
  /** `undefined` takes a variable away. */
  env?: Record<string, string | undefined>;
  cwd?: string;
  ms?: number;
  /** Run as another user; only root can. */
  uid?: number;
}

/** The environment of a script, without the test runner's own variables. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _loaderOfTheSpecs, ...env } = process.env;
  return env;
}

/** Runs Node with these arguments to its end. */
export function node(args: string[], options: ScriptOptions = {}): Promise<Outcome> {
  const child = spawn(process.execPath, args, {
    cwd: options.cwd ?? ROOT,
    env: { ...cleanEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
  });
  return collect(child, options.ms ?? DEADLINE).outcome;
}

/** Waits for a process to end, and kills it after `ms`. */
function collect(
  child: ChildProcessByStdio<Writable | null, Readable, Readable>,
  ms: number,
): { outcome: Promise<Outcome>; stdout(): string } {
  let stdout = '';
  let stderr = '';
  let hung = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const timer = setTimeout(() => {
    hung = true;
    child.kill('SIGKILL');
  }, ms);
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, hung });
    });
  });
  return { outcome, stdout: () => stdout };
}

/** Runs the source of a CommonJS script, with the package as `cc`, in the package's directory. */
export function script(source: string, options: ScriptOptions = {}): Promise<Outcome> {
  return node(
    ['-e', `const cc = require(${JSON.stringify(`${ROOT}index.js`)});\n${source}`, ...(options.args ?? [])],
    options,
  );
}

/** A script that is still running. */
export interface Running {
  readonly pid: number;
  readonly outcome: Promise<Outcome>;
  /** Settles when the script has written this. */
  said(text: string): Promise<void>;
  /** Writes to its standard input. */
  say(text: string): void;
}

/** Starts the source of a script as {@link script} runs it. */
export function startScript(source: string, options: ScriptOptions = {}): Running {
  const child = spawn(
    process.execPath,
    ['-e', `const cc = require(${JSON.stringify(`${ROOT}index.js`)});\n${source}`, ...(options.args ?? [])],
    { cwd: options.cwd ?? ROOT, env: { ...cleanEnvironment(), ...options.env }, stdio: 'pipe' },
  );
  const output = collect(child, options.ms ?? DEADLINE);
  return {
    pid: child.pid as number,
    outcome: output.outcome,
    said: async (text) => void (await until(`a script to say ${text}`, () => output.stdout().includes(text))),
    // It may have ended: then its outcome shows why.
    say: (text) => void child.stdin.on('error', () => {}).write(text),
  };
}
