import test from 'ava';
import { type Agent, Agents } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { LONG } from './helpers/long.ts';
import { Lru } from './helpers/lru.ts';
import { patient } from './helpers/names.ts';
import { Random } from './helpers/random.ts';
import { SHARED } from './helpers/transport.ts';

const OPERATIONS = LONG ? 200_000 : 5_000;
/** A failure prints the seed; CC_TEST_SEED runs it again. */
const SEED = Number(process.env.CC_TEST_SEED ?? Date.now() % 2 ** 31);

let agents: Agents;
let cluster: Cluster;
test.before(async () => {
  agents = await Agents.start();
  cluster = await Cluster.start(agents, { workers: 3 });
});
test.after.always(() => agents?.close());

interface Step {
  method: string;
  args: unknown[];
  /** The model's answer. */
  expected: unknown;
}

const MAX = 40;
/** Operations that clients may answer from memory and that count as a use. */
const READS = new Set(['get', 'mGet']);

/** One random operation, carried out on the model. */
function nextStep(model: Lru, random: Random): Step {
  const key = random.pick(KEYS);
  const value = random.pick(VALUES)(random);
  const step = (method: string, args: unknown[], expected: unknown): Step => ({ method, args, expected });
  switch (random.below(19)) {
    case 0:
    case 1:
    case 2:
      return step('get', [key], model.get(key));
    case 3:
    case 4:
    case 5:
      return step('set', [key, value], model.set(key, value));
    case 6:
      return step('delete', [key], model.delete(key));
    case 7:
      return step('has', [key], model.has(key));
    case 8:
      return step('peek', [key], model.peek(key));
    case 9:
      return step('setIfAbsent', [key, value], model.has(key) ? false : model.set(key, value));
    case 10: {
      const [counter, amount] = [random.pick(COUNTERS), random.below(100) - 50];
      return step('incr', [counter, amount], model.incr(counter, amount));
    }
    case 11: {
      const found = model.peek(key);
      model.delete(key);
      return step('getAndDelete', [key], found);
    }
    case 12: {
      const found = model.peek(key);
      model.set(key, value);
      return step('getAndSet', [key, value], found);
    }
    case 13: {
      const keys = random.several(KEYS, 8);
      return step('mGet', [keys], new Map(keys.map((one) => [one, model.get(one)])));
    }
    case 14: {
      const entries = random
        .several(KEYS, 8)
        .map((one): [string | number, unknown] => [one, random.pick(VALUES)(random)]);
      for (const [one, given] of entries) model.set(one, given);
      return step('mSet', [entries], entries.length);
    }
    case 15: {
      const keys = random.several(KEYS, 5);
      return step('mDelete', [keys], keys.filter((one) => model.delete(one)).length);
    }
    case 16:
      return step('entries', [], model.entries());
    case 17: {
      const prefix = `p${random.below(3)}:`;
      if (random.below(3) > 0) return step('keys', [{ prefix }], model.keys(prefix));
      return step('clear', [{ prefix }], model.keys(prefix).filter((one) => model.delete(one)).length);
    }
    default:
      return random.below(20) === 0 ? step('clear', [], model.clear()) : step('size', [], model.size);
  }
}

const KEYS: readonly (string | number)[] = [
  ...Array.from({ length: 60 }, (_, index) => `p${index % 3}:${index}`),
  ...Array.from({ length: 10 }, (_, index) => index),
  ...Array.from({ length: 10 }, (_, index) => String(index)),
  '',
  '\ud800',
  '鍵',
  '__proto__',
];
const COUNTERS = ['n0', 'n1', 'n2'];
const VALUES: readonly ((random: Random) => unknown)[] = [
  (random) => random.below(1_000),
  (random) => `text ${random.below(1_000)}`,
  (random) => ({ id: random.below(1_000), list: [true, null, { deep: 'é' }] }),
  (random) => Buffer.alloc(random.below(300), random.below(256)),
  (random) => new Map([[random.below(9), new Date(random.below(9))]]),
  (random) => BigInt(random.below(1_000)) ** 9n,
];

test('sequential operations from any process behave like those of one LRU cache', async (t) => {
  t.log(`seed ${SEED}`);
  const random = new Random(SEED);
  const options = { ...patient(), max: MAX };
  const everybody: Agent[] = [cluster.primary, ...cluster.workers];
  const model = new Lru(MAX);
  const trace: string[] = [];
  for (let done = 0; done < OPERATIONS; done += 1) {
    const { method, args, expected } = nextStep(model, random);
    const agent = random.pick(everybody);
    trace.push(`${everybody.indexOf(agent)}: ${method}(${args.map(String).join(', ')})`);
    const answer = await agent.call(options, method, ...args);
    // The host learns of reads from memory before that process's next request, so this sends one.
    if (SHARED && READS.has(method)) await agent.call(options, 'stats');
    if (!t.deepEqual(answer, expected, `seed ${SEED}, operation ${done}:\n${trace.slice(-10).join('\n')}`)) return;
  }
  t.deepEqual(await cluster.worker(0).call(options, 'entries'), model.entries());
  t.is((await cluster.primary.call(options, 'stats')).size, model.size);
});

test('concurrent operations from all processes affect only their own keys, and counters add up', async (t) => {
  t.log(`seed ${SEED}`);
  const options = patient();
  const everybody: Agent[] = [cluster.primary, ...cluster.workers];
  const share = Math.ceil(OPERATIONS / everybody.length);
  const reports = await Promise.all(
    everybody.map((agent, owner) =>
      agent.run(
        async ({ cache, require }, options, owner, count, seed) => {
          const { isDeepStrictEqual } = require('node:util') as typeof import('node:util');
          const target = cache(options);
          const model = new Map<string, unknown>();
          let state = seed + owner * 7_919 + 1;
          const below = (bound: number) => {
            state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
            return (state >>> 8) % bound;
          };
          const wrong: string[] = [];
          let counted = 0;
          const check = (what: string, answer: unknown, expected: unknown) => {
            if (!isDeepStrictEqual(answer, expected))
              wrong.push(`${what}: ${String(answer)} instead of ${String(expected)}`);
          };
          const flight: Promise<unknown>[] = [];
          for (let done = 0; done < count && wrong.length === 0; done += 1) {
            const key = `owner ${owner}: ${below(50)}`;
            const known = model.get(key);
            // Not awaited one by one: program order must also hold for operations in flight.
            const expectLater = (what: string, answer: Promise<unknown>, expected: unknown) =>
              flight.push(answer.then((value) => check(`${what}(${key}) #${done}`, value, expected)));
            switch (below(6)) {
              case 0:
              case 1:
                expectLater('get', target.get(key), known);
                break;
              case 2:
              case 3: {
                const value = { owner, done, text: 'x'.repeat(below(200)) };
                model.set(key, value);
                expectLater('set', target.set(key, value), true);
                break;
              }
              case 4:
                expectLater('delete', target.delete(key), model.delete(key));
                break;
              default: {
                const amount = below(10);
                counted += amount;
                flight.push(target.incr('shared counter', amount));
              }
            }
            if (flight.length >= 64) await Promise.all(flight.splice(0));
          }
          await Promise.all(flight);
          return { wrong, counted, model };
        },
        options,
        owner,
        share,
        SEED,
      ),
    ),
  );
  t.deepEqual(
    reports.flatMap(({ wrong }) => wrong),
    [],
    `seed ${SEED}`,
  );
  const union = new Map(reports.flatMap(({ model }) => [...model]));
  union.set(
    'shared counter',
    reports.reduce((sum, { counted }) => sum + counted, 0),
  );
  for (const agent of everybody) {
    const entries = new Map<unknown, unknown>(await agent.call(options, 'entries'));
    t.is(entries.size, union.size);
    for (const [key, value] of union) t.deepEqual(entries.get(key), value, `seed ${SEED}: ${key}`);
  }
});
