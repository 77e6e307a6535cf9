/** Generous: it only affects how long a failing test takes. */
export const DEADLINE = 15_000;

/** `promise`, or a rejection that names `what` when it is not settled in time. */
export async function within<T>(promise: PromiseLike<T>, what: string, ms = DEADLINE): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The first truthy result of `probe`, which is called every few milliseconds. */
export async function until<T>(
  what: string,
  probe: () => T | PromiseLike<T>,
  ms = DEADLINE,
): Promise<Exclude<Awaited<T>, false | undefined | null | 0>> {
  const end = performance.now() + ms;
  for (;;) {
    const answer = await probe();
    if (answer) return answer as Exclude<Awaited<T>, false | undefined | null | 0>;
    if (performance.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Sources of events: Node's emitters and caches. */
interface Emitter {
  // A method, so that emitters with a closed list of names fit too.
  once(name: string, listener: (...args: any[]) => void): unknown;
}

/** The arguments of the next event `name`. */
export function event(emitter: Emitter, name: string, ms = DEADLINE): Promise<unknown[]> {
  return within(
    new Promise((resolve) => emitter.once(name, (...args: unknown[]) => resolve(args))),
    `event '${name}'`,
    ms,
  );
}

/** A promise with its two ends. */
export function deferred<T = void>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
