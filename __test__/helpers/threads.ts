import { Worker } from 'node:worker_threads';
import { type Described, RemoteError, type Scope } from './agents.ts';
import { deferred, within } from './wait.ts';

type ThreadScope = Pick<Scope, 'cc' | 'cache' | 'state' | 'require'>;

/** A worker thread of this process that carries out commands. */
export class Thread {
  // Node options of the test runner would make the thread load the compiler of the specs.
  readonly worker = new Worker(new URL('../fixtures/thread.cjs', import.meta.url), { execArgv: [] });
  readonly #pending = new Map<number, ReturnType<typeof deferred<any>>>();
  #nextId = 1;

  constructor() {
    this.worker.on('message', ({ id, value, error }: { id: number; value: unknown; error?: Described }) => {
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      if (error) pending?.reject(new RemoteError(error));
      else pending?.resolve(value);
    });
    this.worker.once('exit', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('the thread ended before it answered'));
    });
  }

  /** Runs `fn` in the thread. It sees nothing of this file: only its scope and its arguments. */
  run<A extends unknown[], R>(fn: (scope: ThreadScope, ...args: A) => R, ...args: A): Promise<Awaited<R>> {
    const id = this.#nextId++;
    const answer = deferred<Awaited<R>>();
    answer.promise.catch(() => {});
    this.#pending.set(id, answer);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
    this.worker.postMessage({ id, source: fn.toString(), args });
    return within(answer.promise, 'command to a thread');
  }

  /** Ends the thread at any point of its work. */
  async terminate(): Promise<void> {
    await this.worker.terminate();
  }
}
