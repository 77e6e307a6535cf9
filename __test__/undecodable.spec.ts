// Entries that cannot be decoded: another version of Node.js wrote them, or their bytes are damaged.
import test from 'ava';
import { wrap } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { type AnyCache, rolesOf } from './helpers/roles.ts';
import { storeUndecodable } from './helpers/undecodable.ts';
import { deferred, event, until } from './helpers/wait.ts';

const each = rolesOf(test);

/** Three entries, of which the second cannot be decoded. */
async function withOneUndecodable(cache: AnyCache): Promise<void> {
  await cache.set('good', { at: 1 });
  await storeUndecodable(cache, 'bad');
  await cache.set('last', 'text');
}

/** Collects the events of a cache. */
function reports(cache: AnyCache): { key: unknown; error: any; operation: string }[] {
  const all: { key: unknown; error: any; operation: string }[] = [];
  cache.on('undecodable', (report) => all.push(report));
  return all;
}

for (const near of [false, true]) {
  const kind = near ? ' (near)' : '';

  each(`fetch loads an entry again that cannot be decoded, and stores the value${kind}`, async (t, { open }) => {
    const cache = await open({ near });
    await withOneUndecodable(cache);
    const told = reports(cache);
    let loads = 0;
    const load = () => ({ loads: ++loads });
    t.deepEqual(await cache.fetch('bad', load), { loads: 1 });
    t.deepEqual(await cache.fetch('bad', load), { loads: 1 });
    t.deepEqual(await cache.get('bad'), { loads: 1 });
    await until('the event', () => told.length > 0);
    t.deepEqual([told.length, told[0]!.key, told[0]!.operation], [1, 'bad', 'fetch']);
    t.is(told[0]!.error.code, 'ERR_CC_DATA_CLONE');
    t.is((await cache.stats()).undecodable, 1);
  });

  each(`lists leave out an entry that cannot be decoded, and tell${kind}`, async (t, { open, role }) => {
    const cache = await open({ near });
    await withOneUndecodable(cache);
    const told = reports(cache);
    t.deepEqual(await cache.values(), ['text', { at: 1 }]);
    t.deepEqual(await cache.entries(), [
      ['last', 'text'],
      ['good', { at: 1 }],
    ]);
    t.deepEqual(
      (await cache.dump()).map(([key]) => key),
      ['last', 'good'],
    );
    const seen: unknown[] = [];
    for await (const [key] of cache) seen.push(key);
    t.deepEqual(seen, ['last', 'good']);
    const many = await cache.mGet(['good', 'bad', 'last', 'absent']);
    t.deepEqual([...many], Object.entries({ good: { at: 1 }, bad: undefined, last: 'text', absent: undefined }));
    const operations = ['values', 'entries', 'dump', 'scan', 'mGet'];
    if (role === 'host') {
      t.deepEqual(cache.valuesSync(), ['text', { at: 1 }]);
      t.is(cache.mGetSync(['bad']).get('bad'), undefined);
      operations.push('values', 'mGet');
    }
    await until('the events', () => told.length >= operations.length);
    t.deepEqual(
      told.map(({ operation }) => operation),
      operations,
    );
    t.true(told.every(({ key, error }) => key === 'bad' && error.key === 'bad' && error.code === 'ERR_CC_DATA_CLONE'));
    t.is((await cache.stats()).undecodable, operations.length);
    t.is((await cache.keys()).length, 3);
  });

  each(`get and peek of an entry that cannot be decoded name namespace and key${kind}`, async (t, { open, role }) => {
    const cache = await open({ near });
    await withOneUndecodable(cache);
    for (const method of ['get', 'peek', 'getAndSet'] as const) {
      const error: any = await failsWith(t, () => cache[method]('bad', 1), 'ERR_CC_DATA_CLONE', /key "bad"/);
      t.deepEqual([error.namespace, error.key, error.operation], [cache.namespace, 'bad', method]);
    }
    t.is(await cache.get('bad'), 1, 'the write took effect');
    await storeUndecodable(cache, 'bad');
    if (role === 'host') await failsWith(t, () => cache.getSync('bad'), 'ERR_CC_DATA_CLONE', /key "bad"/);
    await failsWith(t, () => cache.getAndDelete('bad'), 'ERR_CC_DATA_CLONE');
    t.false(await cache.has('bad'));
  });
}

each('concurrent callers of fetch in a process share the load that replaces an entry', async (t, { open }) => {
  const cache = await open();
  await storeUndecodable(cache, 'bad');
  const gate = deferred<string>();
  let loads = 0;
  const load = () => {
    loads += 1;
    return gate.promise;
  };
  const told = reports(cache);
  const callers = Array.from({ length: 5 }, () => cache.fetch('bad', load));
  await until('all callers', () => told.length === 5);
  gate.resolve('loaded');
  t.deepEqual(new Set(await Promise.all(callers)), new Set(['loaded']));
  t.is(loads, 1);
});

each('an error of a cached entry goes to its event, whatever the listener does', async (t, { open }) => {
  const cache = await open();
  await storeUndecodable(cache, 7);
  const told = event(cache, 'undecodable');
  t.deepEqual(await cache.values(), []);
  const [{ key }] = (await told) as [{ key: number }];
  t.is(key, 7);
});

// --- codecs of views -------------------------------------------------------------------------------------------------

/** A codec that cannot decode texts without a prefix. */
const CODEC = {
  encode: (value: string) => `v2:${value}`,
  decode: (stored: string) => {
    if (!stored.startsWith('v2:')) throw new Error('of another version');
    return stored.slice(3);
  },
};

each('a view loads again, and leaves out, what its codec cannot decode', async (t, { open }) => {
  const cache = await open();
  const view = wrap(cache, CODEC);
  await cache.set('old', 'v1:old');
  await view.set('new', 'new');
  const told = reports(cache);
  t.deepEqual(await view.values(), ['new']);
  t.deepEqual(await view.entries(), [['new', 'new']]);
  t.deepEqual([...(await view.mGet(['old', 'new']))], Object.entries({ old: undefined, new: 'new' }));
  const seen: unknown[] = [];
  for await (const entry of view) seen.push(entry);
  t.deepEqual(seen, [['new', 'new']]);
  await t.throwsAsync(async () => view.get('old'), { message: 'of another version' });
  t.is(await view.fetch('old', () => 'loaded'), 'loaded');
  t.is(await view.get('old'), 'loaded');
  t.is(await cache.get('old'), 'v2:loaded');
  await until('the events', () => told.length >= 5);
  t.deepEqual(
    told.map(({ operation }) => operation),
    ['values', 'entries', 'mGet', 'scan', 'fetch'],
  );
  t.true(told.every(({ key, error }) => key === 'old' && error.message === 'of another version'));
});

each('a codec that cannot decode what it encodes fails after one load', async (t, { open }) => {
  const broken = wrap(await open(), { ...CODEC, encode: (value: string) => value });
  let loads = 0;
  await t.throwsAsync(async () => broken.fetch('key', () => `${++loads}`), { message: 'of another version' });
  t.is(loads, 1);
});
