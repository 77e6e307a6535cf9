import { once, on } from 'node:events';
import { inspect } from 'node:util';
import test from 'ava';
import { ClusteredCache, wrap } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

each('a misspelt event is refused, and the message names those that exist', async (t, { open }) => {
  const cache = await open();
  for (const target of [cache, wrap(cache, { encode: String, decode: String })]) {
    for (const method of ['on', 'once', 'off', 'removeListener'] as const) {
      for (const event of ['degarded', '', 'toString', '__proto__', 5, undefined]) {
        const message = /'degraded', 'restored', 'epoch'/;
        await failsWith(t, () => target[method](event as never, () => {}), 'ERR_CC_INVALID_ARGUMENT', message);
      }
    }
  }
});

each('a listener that is not a function is refused', async (t, { open }) => {
  const cache = await open();
  for (const listener of [undefined, null, 'log', {}]) {
    await failsWith(t, () => cache.on('epoch', listener as never), 'ERR_CC_INVALID_ARGUMENT', /function/);
  }
});

each("Node's events.once and events.on work with a cache, and leave nothing behind", async (t, { open }) => {
  const cache = await open();
  const abort = new AbortController();
  // Their types ask for a whole EventEmitter.
  const waits = once(cache as never, 'degraded', { signal: abort.signal });
  const iterator = on(cache as never, 'epoch', { signal: abort.signal });
  abort.abort();
  t.is((await t.throwsAsync(waits))?.name, 'AbortError');
  t.is((await t.throwsAsync(async () => iterator.next()))?.name, 'AbortError');
});

each('methods for listeners return what they were called on', async (t, { open }) => {
  const cache = await open();
  const view = wrap(cache, { encode: String, decode: String });
  const listener = () => {};
  t.is(cache.on('epoch', listener).once('epoch', listener).off('epoch', listener), cache);
  t.is(view.on('epoch', listener).once('epoch', listener).off('epoch', listener), view);
});

each('console.log shows what a cache is, and no internals', async (t, { role, open, options }) => {
  const cache = await open();
  const { namespace, transport } = cache;
  const shown = `{\n  namespace: '${namespace}',\n  role: '${role}',\n  transport: '${transport}',\n  state: 'open'\n}`;
  t.is(inspect(cache, { breakLength: 0 }), `ClusteredCache ${shown}`);
  t.is(inspect(wrap(cache, { encode: String, decode: String })), inspect(cache));
  t.is(inspect({ a: { b: { c: cache } } }), '{ a: { b: { c: [ClusteredCache] } } }');
  class Users extends ClusteredCache {}
  const users = new Users(options());
  t.teardown(() => users.close());
  t.regex(inspect(users), /^Users \{.*state: 'opening'/s);
  await users.close();
  t.regex(inspect(users), /^Users \{.*state: 'closed'/s);
  const refused = new ClusteredCache(options({ namespace, max: 5, conflict: 'reject' }));
  t.teardown(() => refused.close());
  const other = new ClusteredCache(options({ namespace, max: 6, conflict: 'reject' }));
  t.teardown(() => other.close());
  await refused.ready;
  await failsWith(t, other.ready, 'ERR_CC_OPTIONS_CONFLICT');
  t.regex(inspect(other), /state: 'refused'/);
});

each('a cache closes at the end of `await using`', async (t, { open }) => {
  if (!Symbol.asyncDispose) return void t.pass('this release of Node.js does not have the symbol');
  const cache = await open();
  const view = wrap(await open({ namespace: cache.namespace }), { encode: String, decode: String });
  await cache[Symbol.asyncDispose]();
  await failsWith(t, cache.get('key'), 'ERR_CC_CLOSED');
  await view[Symbol.asyncDispose]();
  await failsWith(t, view.get('key'), 'ERR_CC_CLOSED');
});
