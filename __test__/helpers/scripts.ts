import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { DEADLINE } from './wait.ts';

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
  env?: Record<string, string>;
  cwd?: string;
  ms?: number;
  /** Run as another user; only root can. */
  uid?: number;
}

/** Environment of a script: nothing of the test runner's own. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _loaderOfTheSpecs, ...env } = process.env;
  return env;
}

/** Runs Node with these arguments to its end. */
export function node(args: string[], options: ScriptOptions = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: options.cwd ?? ROOT,
      env: { ...cleanEnvironment(), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
    });
    let stdout = '';
    let stderr = '';
    let hung = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const timer = setTimeout(() => {
      hung = true;
      child.kill('SIGKILL');
    }, options.ms ?? DEADLINE);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, hung });
    });
  });
}

/** Runs the source of a CommonJS script, with the package as `cc`, in the package's directory. */
export function script(source: string, options: ScriptOptions = {}): Promise<Outcome> {
  return node(
    ['-e', `const cc = require(${JSON.stringify(`${ROOT}index.js`)});\n${source}`, ...(options.args ?? [])],
    options,
  );
}
