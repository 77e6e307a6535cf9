import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { cleanEnvironment, ROOT } from './scripts.ts';
import { until, within } from './wait.ts';

export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program that runs until it is told to end. Its process never outlives the test. */
export class Program {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';
  /** Its output to descriptor 3, if it has that. */
  ready = '';
  readonly #ended: Promise<Ending>;

  constructor(
    t: { teardown(end: () => void): void },
    args: string[],
    env: Record<string, string> = {},
    stdio: StdioOptions = ['ignore', 'pipe', 'pipe', 'pipe'],
  ) {
    this.child = spawn(process.execPath, args, { cwd: ROOT, env: { ...cleanEnvironment(), ...env }, stdio });
    t.teardown(() => void this.child.kill('SIGKILL'));
    const [, stdout, stderr, ready] = this.child.stdio;
    stdout?.on('data', (text) => (this.stdout += String(text)));
    stderr?.on('data', (text) => (this.stderr += String(text)));
    ready?.on('data', (text) => (this.ready += String(text)));
    this.#ended = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  /** Waits until its log contains this. */
  logged(text: string): Promise<true> {
    return until(`${text} in the log`, () => this.stderr.includes(text));
  }

  /** Sends a signal, or none, and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<Ending> {
    if (signal) this.child.kill(signal);
    return within(this.#ended, 'end of the program');
  }
}
