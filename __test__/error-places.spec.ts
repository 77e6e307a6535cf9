// What errors of operations tell: namespace, key, operation, and the stack of the caller.
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { ClusteredCache } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { unique } from './helpers/names.ts';
import { type AnyCache, rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

const placeOf = ({ namespace, key, operation }: any) => ({ namespace, key, operation });

async function callerOfIncr(cache: AnyCache): Promise<unknown> {
  return await cache.incr('text');
}

async function callerOfMany(cache: AnyCache): Promise<unknown> {
  return await cache.mSet([['key', undefined]]);
}

each('an error of the host tells namespace, key, operation and the line of the caller', async (t, { open }) => {
  const cache = await open();
  const { namespace } = cache;
  await cache.set('text', 'no number');
  const error = await failsWith(t, () => callerOfIncr(cache), 'ERR_CC_NOT_A_NUMBER', /key "text"/);
  t.deepEqual(placeOf(error), { namespace, key: 'text', operation: 'incr' });
  t.regex(error.stack!, /callerOfIncr/);
});

each('an error of an argument tells them too', async (t, { open }) => {
  const cache = await open();
  const { namespace } = cache;
  const many = await failsWith(t, () => callerOfMany(cache), 'ERR_CC_INVALID_VALUE');
  t.deepEqual(placeOf(many), { namespace, key: 'key', operation: 'mSet' });
  t.regex(many.stack!, /callerOfMany/);
  const option = await failsWith(t, () => cache.set('key', 1, { ttl: -1 }), 'ERR_CC_INVALID_OPTION');
  t.true(option instanceof RangeError, 'its class is kept');
  t.deepEqual(placeOf(option), { namespace, key: 'key', operation: 'set' });
  const fetcher = await failsWith(t, () => cache.fetch('key', 5 as never), 'ERR_CC_INVALID_ARGUMENT');
  t.deepEqual(placeOf(fetcher), { namespace, key: 'key', operation: 'fetch' });
  const prefix = await failsWith(t, () => cache.keys({ prefix: 5 as never }), 'ERR_CC_INVALID_OPTION');
  t.deepEqual(placeOf(prefix), { namespace, key: undefined, operation: 'keys' });
});

test('requests that fail together for want of a host each tell their own', async (t) => {
  const namespace = unique();
  const endpoint = path.join(os.tmpdir(), unique('absent'));
  const cache = new ClusteredCache<string, number>({ namespace, endpoint, timeout: 50, failsafe: 'reject' });
  t.teardown(() => cache.close());
  const callers: Record<string, () => Promise<unknown>> = {
    async get() {
      await cache.get('a');
    },
    async incr() {
      await cache.incr('b');
    },
    async fetch() {
      await cache.fetch('c', () => 1);
    },
    async values() {
      await cache.values();
    },
    async mGet() {
      await cache.mGet(['d']);
    },
    async size() {
      await cache.size();
    },
  };
  const keys: Record<string, string> = { get: 'a', incr: 'b', fetch: 'c' };
  for (const round of ['waiting', 'at once']) {
    const outcomes = await Promise.allSettled(
      Object.entries(callers).map(async ([operation, call]) => {
        const error: any = await t.throwsAsync(call, undefined, operation);
        t.is(error.code, 'ERR_CC_NO_HOST');
        t.deepEqual(placeOf(error), { namespace, key: keys[operation], operation }, round);
        t.true(error.message.includes(namespace), error.message);
        t.true(error.stack.includes(operation), error.stack);
      }),
    );
    t.true(outcomes.every(({ status }) => status === 'fulfilled'));
  }
});

each('an error of this package in a fetcher keeps what it tells, for those who wait too', async (t, { open }) => {
  const [cache, inner] = [await open(), await open()];
  await inner.set('text', 'no number');
  const load = () => inner.incr('text');
  const both = await Promise.allSettled([cache.fetch('key', load), cache.fetch('key', load)]);
  for (const outcome of both) {
    const { reason } = outcome as PromiseRejectedResult;
    t.deepEqual(placeOf(reason), { namespace: inner.namespace, key: 'text', operation: 'incr' });
  }
});
