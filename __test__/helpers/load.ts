import type { Agent } from './agents.ts';

/** What a process saw while it used the cache continuously. */
export interface Seen {
  operations: number;
  /** Reads that missed an entry that had been stored. */
  misses: number;
  /** Values that do not belong to their keys. */
  wrong: number;
  /** Codes and messages of operations that were rejected, the first few. */
  errors: string[];
  /** Acknowledged increments. */
  counted: number;
  /** The longest operation, in ms. */
  worst: number;
}

/** Entry number `index` of {@link fill}: its value names its key. */
const KEYS = 'entry:';

/** Stores `count` entries, each of at least `bytes` bytes. */
export const fill = (agent: Agent, options: object, count: number, bytes = 100): Promise<void> =>
  agent.run(
    async ({ cache }, options, keys, count, bytes) => {
      const padding = 'x'.repeat(bytes);
      for (let from = 0; from < count; from += 1_000) {
        const part = Array.from({ length: Math.min(1_000, count - from) }, (_, index) => from + index);
        await cache(options).mSet(part.map((index) => [keys + index, { key: keys + index, padding }] as const));
      }
    },
    options,
    KEYS,
    count,
    bytes,
  );

/** How many of the entries of {@link fill} are still there and unchanged. */
export const intact = (agent: Agent, options: object, count: number): Promise<number> =>
  agent.run(
    async ({ cache }, options, keys, count) => {
      const found = await cache(options).mGet(Array.from({ length: count }, (_, index) => keys + index));
      return [...found].filter(([key, value]) => value?.key === key).length;
    },
    options,
    KEYS,
    count,
  );

/**
 * Starts to read, write and count continuously, one operation after the other, in `lanes` lanes, with pauses of `pause`
 * ms between them. With `endsBySignal` the process reports what it saw at SIGINT and ends: {@link untilEnded}.
 */
export const begin = (
  agent: Agent,
  options: object,
  count: number,
  lanes = 4,
  pause = 0,
  endsBySignal = false,
): Promise<void> =>
  agent.run(
    ({ cache, state, control }, options, keys, count, lanes, pause, endsBySignal) => {
      const instance = cache(options);
      const seen: Seen = { operations: 0, misses: 0, wrong: 0, errors: [], counted: 0, worst: 0 };
      const work = { goesOn: true };
      const one = async (turn: number) => {
        const key = keys + ((turn * 7919) % count);
        if (turn % 8 === 0) {
          await instance.incr('count');
          seen.counted++;
        } else if (turn % 8 === 1) {
          await instance.set(`own:${process.pid}:${turn % 64}`, turn);
        } else {
          const value = await instance.get(key);
          if (value === undefined) seen.misses++;
          else if (value.key !== key) seen.wrong++;
        }
      };
      const lane = async (turn: number) => {
        for (; work.goesOn; turn++) {
          const asked = performance.now();
          await one(turn).catch((error: { code?: string; message: string }) => {
            if (seen.errors.length < 10) seen.errors.push(`${error.code}: ${error.message}`);
          });
          seen.worst = Math.max(seen.worst, performance.now() - asked);
          seen.operations++;
          if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
          // Lets other work of the process run.
          else if (turn % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const all = Promise.all(Array.from({ length: lanes }, (_, index) => lane(index * 1_009)));
      const load = {
        seen,
        async end() {
          process.off('SIGINT', finish);
          work.goesOn = false;
          await all;
          return seen;
        },
      };
      let resolve: (seen: Seen) => void;
      state.ended = new Promise<Seen>((settle) => (resolve = settle));
      const finish = async () => {
        resolve(await load.end());
        // The answer that the test waits for is sent first.
        setImmediate(() => control.end());
      };
      state.load = load;
      if (endsBySignal) process.once('SIGINT', finish);
    },
    options,
    KEYS,
    count,
    lanes,
    pause,
    endsBySignal,
  );

/** Ends what {@link begin} began. */
export const end = (agent: Agent): Promise<Seen> => agent.run(({ state }) => state.load.end() as Promise<Seen>);

/** What it has seen so far. */
export const now = (agent: Agent): Promise<Seen> => agent.run(({ state }) => state.load.seen as Seen);

/** What it saw until SIGINT; then its process ends. */
export const untilEnded = (agent: Agent): Promise<Seen> => agent.run(({ state }) => state.ended as Promise<Seen>);
