import test from 'ava';
import { LONG } from '../helpers/long.ts';
import { Random } from '../helpers/random.ts';
import { Checker } from './checker.ts';
import type { Kind, Operation } from './operation.ts';

const ROUNDS = LONG ? 200_000 : 20_000;
/** A failure prints the seed; CC_TEST_SEED runs it again. */
const SEED = Number(process.env.CC_TEST_SEED ?? Date.now() % 2 ** 31);

type Told = [
  who: string,
  from: number,
  to: number,
  kind: Kind,
  argument?: string | number,
  answer?: Operation['answer'],
];
const NOTHING = undefined;
const NEVER = Infinity;

/** A history of one key. Where a kind takes no argument, `NOTHING` stands for it. */
const history = (told: readonly Told[], key = 'k'): Operation[] =>
  told.map(([who, from, to, kind, argument, answer]) => ({ key, who, from, to, kind, argument, answer }));

const check = (operations: readonly Operation[]) => new Checker().check(operations);

const explained: Record<string, Told[]> = {
  'nothing at all': [],
  'one process, one operation after the other': [
    ['a', 0, 1, 'get', NOTHING, NOTHING],
    ['a', 2, 3, 'set', 7, true],
    ['a', 4, 5, 'get', NOTHING, 7],
    ['a', 6, 7, 'has', NOTHING, true],
    ['a', 8, 9, 'setIfAbsent', 8, false],
    ['a', 10, 11, 'incr', 2, 9],
    ['a', 12, 13, 'getAndDelete', NOTHING, 9],
    ['a', 14, 15, 'getAndDelete', NOTHING, NOTHING],
    ['a', 16, 17, 'delete', NOTHING, false],
    ['a', 18, 19, 'setIfAbsent', 'text', true],
    ['a', 20, 21, 'get', NOTHING, 'text'],
    ['a', 22, 23, 'clear'],
    ['a', 24, 25, 'has', NOTHING, false],
    ['a', 26, 27, 'incr', 1, 1],
    ['a', 28, 29, 'delete', NOTHING, true],
  ],
  'a read during a write sees the value before it': [
    ['a', 0, 9, 'set', 1, true],
    ['b', 2, 3, 'get', NOTHING, NOTHING],
  ],
  'a read during a write sees its value': [
    ['a', 0, 9, 'set', 1, true],
    ['b', 2, 3, 'get', NOTHING, 1],
  ],
  'operations that share one instant may be in either order': [
    ['a', 0, 5, 'set', 1, true],
    ['b', 5, 9, 'get', NOTHING, NOTHING],
  ],
  'concurrent writes leave either value': [
    ['a', 0, 9, 'set', 1, true],
    ['b', 0, 9, 'set', 2, true],
    ['c', 10, 11, 'get', NOTHING, 1],
  ],
  'concurrent increments are answered in any order': [
    ['a', 0, 9, 'incr', 1, 3],
    ['b', 0, 9, 'incr', 1, 1],
    ['c', 0, 9, 'incr', 1, 2],
  ],
  'a long read looks at any moment of its time': [
    ['a', 0, 1, 'set', 1, true],
    ['b', 0, 99, 'get', NOTHING, 2],
    ['a', 10, 11, 'set', 2, true],
    ['a', 20, 21, 'set', 3, true],
  ],
  'a write that was overtaken is never seen': [
    ['a', 0, 9, 'set', 1, true],
    ['b', 0, 9, 'set', 2, true],
    ['c', 1, 2, 'get', NOTHING, NOTHING],
    ['c', 3, 9, 'get', NOTHING, 2],
    ['c', 10, 11, 'get', NOTHING, 2],
  ],
  'a write without an answer takes effect long after': [
    ['a', 0, NEVER, 'set', 1],
    ['b', 10, 11, 'get', NOTHING, NOTHING],
    ['b', 20, 21, 'set', 2, true],
    ['b', 30, 31, 'get', NOTHING, 2],
    ['b', 40, 41, 'get', NOTHING, 1],
  ],
  'a write without an answer never takes effect': [
    ['a', 0, NEVER, 'set', 1],
    ['b', 10, 11, 'get', NOTHING, NOTHING],
    ['b', 20, 21, 'setIfAbsent', 2, true],
  ],
  'one of two equal increments without an answer took effect': [
    ['a', 0, NEVER, 'incr', 1],
    ['b', 0, NEVER, 'incr', 1],
    ['c', 10, 11, 'incr', 5, 6],
  ],
  'two equal increments without an answer take effect one after the other': [
    ['a', 0, NEVER, 'incr', 1],
    // Keeps the window open, so that the first one is still remembered.
    ['d', 0, 99, 'has', NOTHING, false],
    ['c', 10, 11, 'get', NOTHING, 1],
    ['b', 20, NEVER, 'incr', 1],
    ['c', 30, 31, 'get', NOTHING, 2],
  ],
  'a delete without an answer explains an absence': [
    ['a', 0, 1, 'set', 1, true],
    ['b', 2, NEVER, 'delete'],
    ['c', 10, 11, 'get', NOTHING, 1],
    ['c', 12, 13, 'has', NOTHING, false],
  ],
  'a read without an answer tells nothing': [
    ['a', 0, 1, 'set', 1, true],
    ['b', 2, NEVER, 'get'],
    ['b', 2, NEVER, 'has'],
  ],
};

const unexplained: Record<string, Told[]> = {
  'a stale read after an acknowledged write': [
    ['a', 0, 1, 'set', 1, true],
    ['a', 2, 3, 'set', 2, true],
    ['b', 4, 5, 'get', NOTHING, 1],
  ],
  'a miss after an acknowledged write': [
    ['a', 0, 1, 'set', 1, true],
    ['b', 2, 3, 'get', NOTHING, NOTHING],
  ],
  'a lost increment': [
    ['a', 0, 9, 'incr', 1, 1],
    ['b', 0, 9, 'incr', 1, 1],
  ],
  'two winners of setIfAbsent': [
    ['a', 0, 9, 'setIfAbsent', 1, true],
    ['b', 0, 9, 'setIfAbsent', 2, true],
  ],
  'no winner of setIfAbsent': [
    ['a', 0, 9, 'setIfAbsent', 1, false],
    ['b', 0, 9, 'setIfAbsent', 2, false],
  ],
  'a value that was never written': [
    ['a', 0, 9, 'set', 1, true],
    ['b', 0, 9, 'get', NOTHING, 3],
  ],
  'a value of the right look and the wrong type': [
    ['a', 0, 1, 'set', 1, true],
    ['b', 2, 3, 'get', NOTHING, '1'],
  ],
  'a delete that is true twice': [
    ['a', 0, 1, 'set', 1, true],
    ['b', 2, 9, 'delete', NOTHING, true],
    ['c', 2, 9, 'delete', NOTHING, true],
  ],
  'two takers of one value': [
    ['a', 0, 1, 'set', 1, true],
    ['b', 2, 9, 'getAndDelete', NOTHING, 1],
    ['c', 2, 9, 'getAndDelete', NOTHING, 1],
  ],
  'a value that came back to life': [
    ['a', 0, 1, 'set', 1, true],
    ['a', 2, 3, 'delete', NOTHING, true],
    ['b', 4, 5, 'get', NOTHING, NOTHING],
    ['b', 6, 7, 'get', NOTHING, 1],
  ],
  'a value that outlived clear': [
    ['a', 0, 1, 'set', 1, true],
    ['a', 2, 3, 'clear'],
    ['b', 4, 5, 'has', NOTHING, true],
  ],
  'a second reader that sees what was before the first one': [
    ['a', 0, 99, 'set', 1, true],
    ['b', 10, 11, 'get', NOTHING, 1],
    ['c', 20, 21, 'get', NOTHING, NOTHING],
  ],
  'two readers that see two writes in different orders': [
    ['a', 0, 99, 'set', 1, true],
    ['b', 0, 99, 'set', 2, true],
    ['c', 10, 11, 'get', NOTHING, 1],
    ['c', 30, 31, 'get', NOTHING, 2],
    ['d', 20, 21, 'get', NOTHING, 2],
    ['d', 40, 41, 'get', NOTHING, 1],
  ],
  'a write that was not stored': [['a', 0, 1, 'set', 1, false]],
  'an increment of a text': [
    ['a', 0, 1, 'set', 'text', true],
    ['a', 2, 3, 'incr', 1, 1],
  ],
  'a write without an answer that takes effect before it was asked for': [
    ['b', 0, 1, 'get', NOTHING, 1],
    ['a', 2, NEVER, 'set', 1],
  ],
  'a write without an answer that takes effect twice': [
    ['a', 0, NEVER, 'set', 1],
    ['b', 10, 11, 'get', NOTHING, 1],
    ['b', 20, 21, 'set', 2, true],
    ['b', 30, 31, 'get', NOTHING, 1],
  ],
  'two increments where only one was without an answer': [
    ['a', 0, NEVER, 'incr', 1],
    ['b', 10, 11, 'incr', 5, 7],
  ],
};

for (const [title, told] of Object.entries(explained)) {
  test(`explained: ${title}`, (t) => {
    t.is(check(history(told)), undefined);
    t.true(explains(history(told)), 'by trying every order');
  });
}

for (const [title, told] of Object.entries(unexplained)) {
  test(`not explained: ${title}`, (t) => {
    t.truthy(check(history(told)));
    t.false(explains(history(told)), 'by trying every order');
  });
}

test('keys are independent of each other', (t) => {
  const checker = new Checker();
  const wrong = history(unexplained['a lost increment']!, 'wrong');
  t.is(checker.check(history(explained['concurrent writes leave either value']!, 'right')), undefined);
  t.is(checker.check(wrong)?.key, 'wrong');
  t.is(checker.figures.keys, 2);
});

test('a batch continues from every value that the previous one may have left', (t) => {
  const writes = history([
    ['a', 0, 9, 'set', 1, true],
    ['b', 0, 9, 'set', 2, true],
    ['c', 0, NEVER, 'set', 3],
  ]);
  const read = (from: number, answer: number) => history([['d', from, from + 1, 'get', NOTHING, answer]]);
  for (const value of [1, 2, 3]) {
    const checker = new Checker();
    t.is(checker.check(writes), undefined);
    t.is(checker.check(read(10, value)), undefined);
    t.is(checker.check(read(20, value)), undefined);
    t.deepEqual(checker.check(read(30, 4))?.before, value === 3 ? [3] : [value]);
  }
});

test('a batch that begins before the last one ended is refused', (t) => {
  const checker = new Checker();
  checker.check(history([['a', 0, 9, 'set', 1, true]]));
  t.throws(() => checker.check(history([['a', 9, 10, 'get', NOTHING, 1]])), { message: /batches overlap/ });
});

test('too many possibilities are an error instead of a verdict', (t) => {
  const many = Array.from({ length: 24 }, (_, index): Told => [`p${index}`, 0, NEVER, 'incr', 2 ** index]);
  const operations = history([...many, ['r', 1, 2, 'get', NOTHING, -1]]);
  t.throws(() => new Checker(10_000).check(operations), {
    message: /key k: too many possibilities in a window of 25 operations/,
  });
});

test('a failure shows the smallest window and the changes before it', (t) => {
  const us = 1_000;
  const violation = check(
    history([
      ['worker 0', 0, 10 * us, 'set', 1, true],
      ['worker 1', 11 * us, 15 * us, 'delete', NOTHING, true],
      // This one overlaps with everything up to the failure, but says nothing about it.
      ['worker 2', 14 * us, 90 * us, 'has', NOTHING, false],
      ['host', 20 * us, 30 * us, 'set', 2, true],
      ['worker 1', 32 * us, 32.5 * us, 'get', NOTHING, 2],
      ['worker 0', 40 * us, 60 * us, 'set', 3, true],
      ['worker 1', 45 * us, 50 * us, 'get', NOTHING, 1],
      ['worker 1', 70 * us, 80 * us, 'get', NOTHING, 3],
    ]),
  )!;
  t.is(violation.key, 'k');
  t.is(
    String(violation),
    [
      'key k is not linearizable: the answer marked > has no explanation, for the key held 2',
      '   from us    to us  who       what      answer',
      '   -40.000  -30.000  worker 0  set(1)    true',
      '   -29.000  -25.000  worker 1  delete()  true',
      '   -20.000  -10.000  host      set(2)    true',
      '-- here it held 2',
      '     0.000   20.000  worker 0  set(3)    true',
      '>    5.000   10.000  worker 1  get()     1',
    ].join('\n'),
  );
});

test('a failure shows an unanswered operation only while it may still take effect', (t) => {
  const told: Told[] = [
    ['a', 0, NEVER, 'set', 1],
    ['b', 10, 11, 'get', NOTHING, 1],
    ['a', 20, NEVER, 'set', 2],
    ['b', 30, 31, 'get', NOTHING, 3],
  ];
  t.deepEqual(
    check(history(told))?.operations.map(({ kind, argument }) => [kind, argument]),
    [
      ['set', 2],
      ['get', NOTHING],
    ],
  );
});

test('a failure is not shown by an answer whose explanation came later', (t) => {
  const told: Told[] = [
    ['a', 0, 1, 'set', 1, true],
    ['b', 2, 4, 'get', NOTHING, 9],
    ['c', 3, 8, 'get', NOTHING, 5],
    ['a', 6, 7, 'incr', 4, 5],
  ];
  t.is(check(history(told))?.culprit.who, 'b');
});

// --- at random ---------------------------------------------------------------------------------------------------------

/** The model again, written as simply as possible. */
function carryOut(content: Map<string, any>, { key, kind, argument }: Operation): Operation['answer'] {
  const before = content.get(key);
  switch (kind) {
    case 'get':
      return before;
    case 'has':
      return content.has(key);
    case 'set':
      content.set(key, argument);
      return true;
    case 'delete':
      return content.delete(key);
    case 'incr':
      if (typeof before === 'string') return undefined;
      content.set(key, (before ?? 0) + argument!);
      return content.get(key);
    case 'setIfAbsent':
      if (content.has(key)) return false;
      content.set(key, argument);
      return true;
    case 'getAndDelete':
      content.delete(key);
      return before;
    case 'getAndSet':
      content.set(key, argument);
      return before;
    case 'clear':
      content.clear();
      return undefined;
  }
}

/** Whether some order explains a history of one key: by trying them all. */
function explains(operations: readonly Operation[], content = new Map<string, any>()): boolean {
  if (operations.every(({ to }) => to === NEVER)) return true;
  return operations.some((first) => {
    const rest = operations.filter((one) => one !== first);
    if (rest.some(({ to }) => to < first.from)) return false;
    const after = new Map(content);
    const answer = carryOut(after, first);
    return (first.to === NEVER || answer === first.answer) && explains(rest, after);
  });
}

const KINDS: readonly Kind[] = [
  'get',
  'get',
  'has',
  'set',
  'delete',
  'incr',
  'setIfAbsent',
  'getAndDelete',
  'getAndSet',
  'clear',
];

interface Simulation {
  count: number;
  /** Instants over which the operations begin, and the longest that one takes. */
  span: number;
  longest: number;
  /** How many different values are written; each only once, if it is `Infinity`. */
  values: number;
  /** One operation in this many is not answered; none, if it is `Infinity`. */
  unanswered: number;
}

/** What clients of a correct cache see: each operation takes effect at a random moment of its time. */
function simulate(random: Random, { count, span, longest, values, unanswered }: Simulation): Operation[] {
  const moments = Array.from({ length: count }, (_, index) => {
    const kind = random.pick(KINDS);
    const from = random.below(span);
    const length = random.below(longest + 1);
    const written = 100 + (values === Infinity ? index : random.below(values));
    const argument = kind === 'incr' ? random.below(3) + 1 : /set/i.test(kind) ? written : undefined;
    const silent = unanswered !== Infinity && random.below(unanswered) === 0;
    // Without an answer: at any time later, or never.
    const effect = silent
      ? random.below(2) === 0
        ? NEVER
        : from + random.below(span)
      : from + random.below(length + 1);
    const to = silent ? NEVER : from + length;
    return { effect, operation: { key: 'k', who: `p${index}`, kind, argument, from, to } };
  });
  const content = new Map<string, unknown>();
  return moments
    .sort((a, b) => a.effect - b.effect)
    .map(({ effect, operation }) => {
      const answer = effect === NEVER ? undefined : carryOut(content, operation);
      return operation.to === NEVER ? operation : { ...operation, answer };
    });
}

const TINY = { count: 6, span: 12, longest: 8, values: 2, unanswered: 6 };

/** The same history with one answer replaced by another of the same kind. */
function changed(random: Random, operations: readonly Operation[]): Operation[] {
  const victim = random.pick(operations.filter(({ kind, to }) => kind !== 'clear' && to !== NEVER));
  return operations.map((one) => {
    if (one !== victim) return one;
    if (typeof one.answer === 'boolean') return { ...one, answer: !one.answer };
    return { ...one, answer: random.pick([undefined, 1, 2, 3, 100, 101, 102].filter((value) => value !== one.answer)) };
  });
}

test('a history of a correct cache is always explained', (t) => {
  t.log(`seed ${SEED}`);
  const random = new Random(SEED);
  for (let round = 0; round < ROUNDS / 10; round += 1) {
    const operations = simulate(random, {
      count: 1 + random.below(80),
      span: 80 + random.below(200),
      longest: random.below(12),
      values: random.pick([2, 5, Infinity]),
      unanswered: random.pick([20, Infinity]),
    });
    const verdict = check(operations);
    if (verdict) return t.fail(`seed ${SEED}, round ${round}: ${verdict}`);
  }
  return t.pass();
});

test('the verdict is the one found by trying every order', (t) => {
  t.log(`seed ${SEED}`);
  const random = new Random(SEED);
  const verdicts = { right: 0, wrong: 0 };
  for (let round = 0; round < ROUNDS; round += 1) {
    const correct = simulate(random, { ...TINY, count: 1 + random.below(TINY.count) });
    const asked = correct.some(({ kind, to }) => kind !== 'clear' && to !== NEVER);
    const operations = asked && random.below(4) > 0 ? changed(random, correct) : correct;
    const right = explains(operations);
    verdicts[right ? 'right' : 'wrong'] += 1;
    if ((check(operations) === undefined) !== right) {
      return t.fail(
        `seed ${SEED}, round ${round}: should be ${right ? 'right' : 'wrong'}\n${JSON.stringify(operations)}`,
      );
    }
  }
  t.log(verdicts);
  t.true(verdicts.right > ROUNDS / 5 && verdicts.wrong > ROUNDS / 5, 'there are enough of both');
});

test('a window that is reported fails by itself', (t) => {
  t.log(`seed ${SEED}`);
  const random = new Random(SEED);
  let shrunk = 0;
  for (let round = 0; round < ROUNDS / 10; round += 1) {
    const operations = simulate(random, { count: 40, span: 100, longest: 12, values: Infinity, unanswered: 20 });
    const violation = check(changed(random, operations));
    if (!violation) continue;
    const { before, operations: window } = violation;
    // Unanswered operations may have taken effect before the window.
    if (window.length > 8 || window.some(({ to }) => to === NEVER)) continue;
    shrunk += 1;
    const alone = before.every((value) => !explains(window, new Map(value === undefined ? [] : [['k', value]])));
    if (!alone) return t.fail(`seed ${SEED}, round ${round}: ${violation}`);
  }
  return t.true(shrunk > ROUNDS / 100, `only ${shrunk} small windows`);
});

test('one wrong answer in a long history is found, and its window is small', (t) => {
  t.log(`seed ${SEED}`);
  const random = new Random(SEED);
  const correct = simulate(random, {
    count: 100_000,
    span: 200_000,
    longest: 8,
    values: Infinity,
    unanswered: Infinity,
  }).sort((a, b) => a.from - b.from);
  const checker = new Checker();
  t.is(checker.check(correct), undefined);
  t.log(checker.figures);
  t.is(checker.figures.operations, correct.length);
  const at = correct.findIndex(({ kind }, index) => kind === 'get' && index > correct.length / 2);
  const wrong = { ...correct[at]!, answer: -1 };
  const violation = check(correct.with(at, wrong));
  // The marked answer may be another one of the window: one of them is wrong, and it is not known which.
  t.true(violation?.operations.includes(wrong), String(violation));
  t.true(violation!.operations.length < 100, String(violation));
});
