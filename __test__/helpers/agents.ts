import { type ChildProcess, execFileSync, type ForkOptions, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ClusteredCache } from '../../index.js';
import { LONG } from './long.ts';
import { unique } from './names.ts';
import { deferred, until, within } from './wait.ts';

const require = createRequire(import.meta.url);
const wire = require('../fixtures/wire.cjs') as {
  encode(message: unknown): string;
  listen(socket: net.Socket, receive: (message: never) => void): void;
};

/** The scheduler's letter for each thread of a process: a signal stops them one after the other. */
function threadStates(pid: number): string[] {
  if (process.platform !== 'linux')
    return [execFileSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' }).trim()];
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const line = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    // The name before it is in parentheses and may contain anything.
    return line.slice(line.lastIndexOf(')') + 2);
  });
}

/** A process that a test starts. */
export type Fixture = 'process.cjs' | 'primary.cjs';

/** What the scope of a process offers to the functions a test runs in it; see fixtures/agent.cjs. */
export interface Scope {
  cc: typeof import('../../index.js');
  cache(options?: object): ClusteredCache<string | number, any>;
  state: Record<string, any>;
  block(ms: number): void;
  require: NodeJS.Require;
  control: net.Socket;
  cluster: typeof import('node:cluster').default;
  describe(error: unknown): Described;
  fork(token: string, env: Record<string, string>): number;
  forkHelper(token: string, file: Fixture, env?: Record<string, string>, options?: ForkOptions): void;
}

/** An error as a process reports it. */
export interface Described {
  thrown?: unknown;
  name: string;
  message: string;
  code?: string;
  stack: string;
  classes: string[];
  cause?: Described;
}

/** An error that was thrown in another process. */
export class RemoteError extends Error {
  readonly code: string | undefined;
  /** The names of its class and base classes in that process. */
  readonly classes: readonly string[];
  readonly described: Described;

  constructor(described: Described) {
    super(described.thrown === undefined ? described.message : String(described.thrown));
    this.name = described.name ?? 'RemoteError';
    this.code = described.code;
    this.classes = described.classes ?? [];
    this.described = described;
  }
}

/** A process ended before it answered. */
export class AgentGone extends Error {
  override readonly name = 'AgentGone';
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** A process that carries out commands. */
export class Agent {
  readonly pid: number;
  /** Settles when the process has ended: the kernel closes its end of the channel, however it ended. */
  readonly gone: Promise<void>;
  readonly #socket: net.Socket;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  constructor(socket: net.Socket, pid: number) {
    this.pid = pid;
    this.#socket = socket;
    this.gone = new Promise((resolve) => socket.once('close', () => resolve()));
    void this.gone.then(() => this.#failPending());
  }

  /** The channel brought a message. @internal */
  receive(message: { id: number; value?: unknown; error?: Described }): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.error) pending?.reject(new RemoteError(message.error));
    else pending?.resolve(message.value);
  }

  /** Runs `fn` in the process. It sees nothing of this file: only its scope and its arguments. */
  run<A extends unknown[], R>(fn: (scope: Scope, ...args: A) => R, ...args: A): Promise<Awaited<R>> {
    const id = this.#nextId++;
    const answer = new Promise<Awaited<R>>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
    });
    // The process may die before the answer is awaited; a caller that awaits it later still gets the error.
    answer.catch(() => {});
    if (this.#socket.destroyed) this.#failPending();
    else this.#socket.write(wire.encode({ id, source: fn.toString(), args }));
    return within(answer, `command to process ${this.pid}`, LONG ? 900_000 : 60_000);
  }

  /** Calls a method of the process's cache with these options. */
  call(options: object, method: string, ...args: unknown[]): Promise<any> {
    return this.run(
      (scope, options, method, args) => (scope.cache(options) as any)[method](...args),
      options,
      method,
      args,
    );
  }

  /** Stops the process's event loop; returns when it is about to stop. */
  async block(ms: number): Promise<void> {
    await this.run(({ block, control }, ms) => void setImmediate(() => control.write('', () => block(ms))), ms);
  }

  /** Sends a signal; with one that ends it, `gone` follows. */
  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Freezes all threads of the process; returns when they are frozen. Must be short: {@link resume} it. */
  async freeze(): Promise<void> {
    this.signal('SIGSTOP');
    await until(`process ${this.pid} to stop`, () => threadStates(this.pid).every((state) => /^[tT]/.test(state)));
  }

  /** Resumes a frozen process. */
  resume(): void {
    this.signal('SIGCONT');
  }

  /** Ends the process at once and waits for its end. */
  async kill(): Promise<void> {
    if (!this.#socket.destroyed) this.signal('SIGKILL');
    await within(this.gone, `end of process ${this.pid}`);
  }

  get alive(): boolean {
    return !this.#socket.destroyed;
  }

  #failPending(): void {
    for (const { reject } of this.#pending.values()) {
      reject(new AgentGone(`process ${this.pid} ended before it answered`));
    }
    this.#pending.clear();
  }
}

export interface SpawnOptions {
  env?: Record<string, string>;
  execArgv?: string[];
  /** Limits of the process, as arguments of the shell's `ulimit`: `-n 64`. */
  limit?: string;
}

/** All processes of one spec file, and the channel over which they take commands. */
export class Agents {
  readonly #directory = mkdtempSync(path.join(os.tmpdir(), 'cc-test-'));
  readonly #server = net.createServer((socket) => this.#accept(socket));
  readonly #expected = new Map<string, (agent: Agent) => void>();
  readonly #expectedMany = new Map<string, (agent: Agent) => void>();
  readonly #agents = new Set<Agent>();
  readonly #children = new Set<ChildProcess>();

  /**
   * Must be closed after the file's tests; no process of a test outlives it. `forAllUsers`: some processes run as other
   * users.
   */
  static async start({ forAllUsers = false } = {}): Promise<Agents> {
    const agents = new Agents();
    await new Promise<void>((resolve) => agents.#server.listen(agents.control, resolve));
    if (forAllUsers) {
      chmodSync(agents.#directory, 0o711);
      chmodSync(agents.control, 0o666);
    }
    agents.#server.unref();
    return agents;
  }

  /** Path of the control channel. */
  get control(): string {
    return path.join(this.#directory, 'control');
  }

  /** Starts a process. */
  async spawn(fixture: Fixture = 'process.cjs', options: SpawnOptions = {}): Promise<Agent> {
    const { token, agent } = this.expect();
    const file = fileURLToPath(new URL(`../fixtures/${fixture}`, import.meta.url));
    const { NODE_OPTIONS: _loaderOfTheSpecs, ...inherited } = process.env;
    const command = [process.execPath, ...(options.execArgv ?? []), file];
    // The shell becomes the process: its id stays.
    const limited = options.limit ? ['sh', '-c', `ulimit ${options.limit} && exec "$@"`, 'sh', ...command] : command;
    const child = spawn(limited[0]!, limited.slice(1), {
      env: { ...inherited, CC_TEST_CONTROL: this.control, CC_TEST_TOKEN: token, ...options.env },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    this.#children.add(child);
    const died = deferred<never>();
    child.once('exit', (code, signal) => {
      this.#children.delete(child);
      died.reject(new AgentGone(`${fixture} ended at start: code ${code}, signal ${signal}`));
    });
    died.promise.catch(() => {});
    return Promise.race([agent, died.promise]);
  }

  /** Expects a process that another process starts: pass it the token. */
  expect(): { token: string; agent: Promise<Agent> } {
    const token = unique('agent');
    const { promise, resolve } = deferred<Agent>();
    this.#expected.set(token, resolve);
    return { token, agent: within(promise, `hello of ${token}`, 60_000) };
  }

  /** Expects any number of processes that are started with one token. */
  expectMany(token: string, arrived: (agent: Agent) => void): void {
    this.#expectedMany.set(token, arrived);
  }

  /** Ends every process, by its id, and the channel. */
  async close(): Promise<void> {
    const agents = [...this.#agents].filter((agent) => agent.alive);
    for (const agent of agents) agent.signal('SIGKILL');
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(agents.map((agent) => within(agent.gone, `end of process ${agent.pid}`)));
    await until('end of all children', () => this.#children.size === 0);
    this.#server.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #accept(socket: net.Socket): void {
    let agent: Agent | undefined;
    socket.on('error', () => socket.destroy());
    wire.listen(socket, (message: any) => {
      if (agent) return agent.receive(message);
      agent = new Agent(socket, message.pid);
      this.#agents.add(agent);
      this.#expectedMany.get(message.hello)?.(agent);
      this.#expected.get(message.hello)?.(agent);
      this.#expected.delete(message.hello);
    });
  }
}
