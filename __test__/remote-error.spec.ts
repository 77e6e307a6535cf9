/** Errors of fetchers on their way to the callers that waited. */

import vm from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import { isClusteredCacheError, type ClusteredCache } from '../index.js';
import { decode } from '../ts/values/codec.ts';
import { encodeError, unpackError } from '../ts/values/remote-error.ts';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

/** What a waiter gets of an error. */
function received(thrown: unknown): any {
  const { form, payload } = encodeError(thrown);
  return unpackError(decode(form, payload));
}

/** What a waiter gets of an error that the fetcher of another caller throws. */
async function waited(t: ExecutionContext, cache: ClusteredCache<any, any>, thrown: unknown): Promise<any> {
  let fail!: (reason: unknown) => void;
  const failure = new Promise<never>((_, reject) => (fail = reject));
  const leader = cache.fetch('key', () => failure);
  const waiter = cache.fetch('key', () => t.fail('the waiter does not load'));
  fail(thrown);
  const [led, answer] = await Promise.allSettled([leader, waiter]);
  t.is((led as PromiseRejectedResult).reason, thrown);
  return (answer as PromiseRejectedResult).reason;
}

each('a waiter gets the errors, the cause and the own properties of an error', async (t, { open }) => {
  const inner = Object.assign(new TypeError('inner'), { code: 'E_INNER', attempts: [1, { at: new Date(0) }] });
  const error = Object.assign(new AggregateError([inner, 'text'], 'outer', { cause: inner }), { status: 502 });
  const found = await waited(t, await open(), error);
  t.true(found instanceof AggregateError);
  t.deepEqual([found.name, found.message, found.status, found.stack], ['AggregateError', 'outer', 502, error.stack]);
  for (const part of [found.errors[0], found.cause]) {
    t.true(part instanceof TypeError);
    t.deepEqual([part.message, part.code, part.attempts], ['inner', 'E_INNER', [1, { at: new Date(0) }]]);
  }
  t.is(found.errors[1], 'text');
});

each('a waiter gets name, message and code of an error of another realm', async (t, { open }) => {
  const cache = await open();
  const errors = `[
    Object.assign(new TypeError('no'), { code: 'E_OTHER' }),
    Object.assign(new (class MissingError extends Error { name = 'MissingError' })('no'), { code: 'E_OTHER' }),
    Object.assign(new AggregateError([new RangeError('inner')], 'no'), { code: 'E_OTHER' }),
  ]`;
  const names = ['TypeError', 'MissingError', 'AggregateError'];
  for (const [index, error] of (vm.runInNewContext(errors) as unknown[]).entries()) {
    const found = await waited(t, cache, error);
    t.true(found instanceof Error);
    t.deepEqual([found.name, found.message, found.code], [names[index], 'no', 'E_OTHER']);
    if (index === 0) t.true(found instanceof TypeError);
    if (index === 2) t.true(found.errors[0] instanceof RangeError);
  }
});

test('properties that cannot be cloned are left out, and the rest arrives', (t) => {
  const error = Object.assign(new Error('no'), { retry() {}, response: new Response('body'), status: 500 });
  const found = received(error);
  t.deepEqual(Object.keys(found), ['status']);
  t.is(found.status, 500);
});

test('properties cannot change the prototype of an error, nor its class', (t) => {
  const error = new Error('no');
  Object.defineProperty(error, '__proto__', { value: { admin: true }, enumerable: true });
  Object.defineProperty(error, 'name', { value: 'constructor', enumerable: true });
  const found = received(error);
  t.is(Object.getPrototypeOf(found), Error.prototype);
  t.is(found.admin, undefined);
  t.is(found.name, 'constructor');
});

test('an error that cannot be passed in full arrives with name, message and code', (t) => {
  let deep: unknown = new Date(0);
  for (let level = 0; level < 998; level += 1) deep = [deep];
  const large = Object.assign(new RangeError('no'), { code: 'E_BIG', body: Buffer.alloc(17 * 1024 * 1024) });
  const trap = Object.defineProperty(new RangeError('no'), 'x', {
    enumerable: true,
    get: () => {
      throw new Error('trap');
    },
  });
  for (const error of [large, Object.assign(new RangeError('no'), { code: 'E_DEEP', deep }), trap]) {
    const found = received(error);
    t.true(found instanceof RangeError);
    t.deepEqual([found.message, found.code], ['no', (error as { code?: string }).code]);
  }
  const cyclic: Error & { cause?: unknown } = new Error('cyclic');
  cyclic.cause = cyclic;
  t.is(received(cyclic).cause.message, 'cyclic');
  const both = new AggregateError([], 'both');
  both.errors = [both, both, new Error('other')];
  t.is(received(both).errors[0].message, 'both');
});

test('values that are no errors arrive as they are, or as text', (t) => {
  for (const thrown of ['text', 5, null, undefined, { status: 1 }]) t.deepEqual(received(thrown), thrown);
  t.is(received(Symbol('s')), 'Symbol(s)');
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  t.is(received(revoked.proxy), 'an error that cannot be read was thrown');
});

test('what is no packed error has a code', (t) => {
  for (const packed of [undefined, null, 5, 'text', { error: null }, { error: { name: 'E', errors: 5 } }]) {
    const error = t.throws(() => unpackError(packed));
    t.true(isClusteredCacheError(error) && error.code === 'ERR_CC_DATA_CLONE', String(error));
  }
});

each('waiters for a value that cannot be cached get the refusal with its code', async (t, { open }) => {
  const cache = await open();
  const load = () => new URL('http://localhost/') as never;
  const both = await Promise.allSettled([cache.fetch('key', load), cache.fetch('key', load)]);
  for (const outcome of both) {
    const { reason } = outcome as PromiseRejectedResult;
    t.true(isClusteredCacheError(reason));
    await failsWith(t, () => Promise.reject(reason as Error), 'ERR_CC_DATA_CLONE', /key "key"/);
  }
});
