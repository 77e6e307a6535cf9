import { deflateSync, inflate, inflateSync } from 'node:zlib';
import { promisify } from 'node:util';
import test from 'ava';
import { wrap } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { type AnyCache, rolesOf } from './helpers/roles.ts';
import { deferred } from './helpers/wait.ts';

const each = rolesOf(test);

class Money {
  constructor(readonly cents: number) {}
}

const sync = { encode: (money: Money) => money.cents, decode: (cents: unknown) => new Money(cents as number) };
const slow = {
  encode: async (money: Money) => String(money.cents),
  decode: async (text: unknown) => new Money(Number(text)),
};

for (const [kind, codec] of [
  ['sync', sync],
  ['async', slow],
] as const) {
  each(`${kind} codec: every typed method passes values through it`, async (t, { open }) => {
    const cache = await open();
    const money = wrap(cache, codec);
    t.is(await money.set('a', new Money(5)), true);
    t.deepEqual(await money.get('a'), new Money(5));
    t.true((await money.get('a')) instanceof Money);
    t.deepEqual(await money.peek('a'), new Money(5));
    t.is(await money.setIfAbsent('a', new Money(6)), false);
    t.is(await money.setIfAbsent('b', new Money(6)), true);
    t.is(
      await money.mSet([
        ['c', new Money(7)],
        ['d', new Money(8), { ttl: 600_000 }],
      ]),
      2,
    );
    t.deepEqual(
      [...(await money.mGet(['c', 'x', 'd']))],
      [
        ['c', new Money(7)],
        ['x', undefined],
        ['d', new Money(8)],
      ],
    );
    t.true((await money.getRemainingTTL('d')) <= 600_000);
    await cache.get('a');
    t.deepEqual((await money.values()).map(({ cents }) => cents).sort(), [5, 6, 7, 8]);
    const entries = await money.entries();
    t.true(entries.every(([, value]) => value instanceof Money));
    const iterated: unknown[] = [];
    for await (const entry of money) iterated.push(entry);
    t.deepEqual(iterated, entries);
    t.deepEqual(await money.fetch('e', async () => new Money(9)), new Money(9));
    t.deepEqual(await money.fetch('e', () => t.fail() as never), new Money(9));
    t.deepEqual(await money.getAndSet('e', new Money(10)), new Money(9));
    t.deepEqual(await money.getAndDelete('e'), new Money(10));
    t.is(await money.getAndSet('f', new Money(1)), undefined, 'what is not there is not decoded');
    t.is(await cache.get('a'), kind === 'sync' ? 5 : '5');
  });
}

each('methods without values pass through to the same cache', async (t, { open }) => {
  const cache = await open();
  const money = wrap(cache, sync);
  t.is(money.cache, cache);
  await money.set('a', new Money(5));
  t.is(await money.has('a'), true);
  t.is(await money.size(), 1);
  t.is(await money.delete('a'), true);
  t.deepEqual(await money.keys(), []);
  t.is(await money.get('a'), undefined, 'a miss is not decoded');
});

each('callers that wait for a fetch get decoded values', async (t, { open }) => {
  const cache = await open();
  const money = wrap(cache, slow);
  const gate = deferred<Money>();
  const answers = [money.fetch('a', () => gate.promise), money.fetch('a', () => gate.promise)];
  gate.resolve(new Money(1));
  for (const answer of await Promise.all(answers)) t.deepEqual(answer, new Money(1));
});

each('undefined from a fetcher is not encoded', async (t, { open }) => {
  const cache = await open();
  const money = wrap(cache, { ...sync, encode: (value: Money) => (t.fail(), value.cents) });
  t.is(await money.fetch('a', () => undefined), undefined);
});

each("the codec's errors reject, and nothing is stored", async (t, { open }) => {
  const cache = await open();
  const failure = new Error('codec');
  const broken = wrap(cache, {
    encode: (): string => {
      throw failure;
    },
    decode: (): Money => {
      throw failure;
    },
  });
  t.is(await t.throwsAsync(async () => broken.set('a', new Money(1))), failure);
  t.is(await t.throwsAsync(async () => broken.mSet([['a', new Money(1)]])), failure);
  t.is(await t.throwsAsync(async () => broken.fetch('a', () => new Money(1))), failure);
  t.is(await cache.size(), 0);
  await cache.set('a', 1);
  t.is(await t.throwsAsync(async () => broken.get('a')), failure);
  t.deepEqual(await broken.values(), []);
});

each('a compressing codec keeps large values small', async (t, { open }) => {
  const cache: AnyCache = await open();
  const text = wrap(cache, {
    encode: (value: string) => deflateSync(value),
    decode: async (bytes: unknown) => String(await promisify(inflate)(bytes as Buffer)),
  });
  const long = 'abc'.repeat(100_000);
  await text.set('a', long);
  t.is(await text.get('a'), long);
  t.true((await cache.calculatedSize()) < 10_000);
  t.is(String(inflateSync((await cache.get('a')) as Buffer)), long);
});

each('a codec without its two functions is refused', async (t, { open }) => {
  const cache = await open();
  for (const codec of [undefined, null, {}, { encode: () => 1 }, { encode: 1, decode: 2 }]) {
    await failsWith(t, () => wrap(cache, codec as never), 'ERR_CC_INVALID_ARGUMENT');
  }
  await failsWith(t, () => wrap(undefined as never, sync), 'ERR_CC_INVALID_ARGUMENT');
});

each('a view has the properties of its cache', async (t, { role, open }) => {
  const cache = await open();
  const money = wrap(cache, sync);
  t.is(money.namespace, cache.namespace);
  t.is(money.role, role);
  t.is(money.transport, cache.transport);
  await t.notThrowsAsync(money.ready);
  await money.close();
  await failsWith(t, cache.get('a'), 'ERR_CC_CLOSED');
});

each('a snapshot of a view holds the values as they are stored', async (t, { open }) => {
  const cache = await open();
  const money = wrap(cache, sync);
  await money.set('a', new Money(5));
  const dump = await money.dump();
  t.deepEqual(dump, [['a', { value: 5 }]]);
  await money.clear();
  t.is(await money.load(JSON.parse(JSON.stringify(dump)) as typeof dump), 1);
  t.deepEqual(await money.get('a'), new Money(5));
});

each('reads of a view are synchronous if the codec is', async (t, { open }) => {
  const cache = await open();
  const money = wrap(cache, sync);
  await money.set('a', new Money(5));
  if (cache.transport === 'socket') {
    await failsWith(t, () => money.getSync('a'), 'ERR_CC_NO_SHARED_TABLE');
    return;
  }
  t.deepEqual(money.getSync('a'), new Money(5));
  t.deepEqual(money.peekSync('a'), new Money(5));
  t.is(money.hasSync('a'), true);
  t.is(money.getSync('b'), undefined);
  const later = wrap(cache, { ...slow, decode: async () => Promise.reject(new Error('codec')) });
  await failsWith(t, () => later.getSync('a'), 'ERR_CC_INVALID_ARGUMENT', /getSync.*await get\(\)/);
  await failsWith(t, () => later.peekSync('a'), 'ERR_CC_INVALID_ARGUMENT', /peekSync.*await peek\(\)/);
  t.is(later.getSync('b'), undefined, 'a miss is not decoded');
});
