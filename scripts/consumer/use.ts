// A user's TypeScript, compiled as an ES module and as CommonJS under the strictest settings.

import { strictEqual } from 'node:assert';
import { ClusteredCache, ClusteredCacheError, isClusteredCacheError, memoize, wrap } from 'clustered-cache';

interface User {
  id: number;
  name: string;
}

async function main(): Promise<void> {
  const users = new ClusteredCache<number, User>({ namespace: 'users', max: 100, ttl: 60_000 });
  const stored: boolean = await users.set(1, { id: 1, name: 'Ada' });
  strictEqual(stored, true);

  const user: User | undefined = await users.get(1);
  strictEqual(user?.name, 'Ada');

  const loaded: User = await users.fetch(2, (id) => ({ id, name: 'Grace' }), { ttl: 1_000 });
  strictEqual(loaded.id, 2);

  // `undefined` is an option that is left out, also under exactOptionalPropertyTypes.
  const none: undefined = undefined;
  const same = new ClusteredCache<number, User>({ namespace: 'users', ttl: none, near: none, persist: none });
  await same.set(2, loaded, { ttl: none, size: none });
  await same.mSet([[2, loaded, none]], { ttl: none });
  strictEqual((await same.keys({ prefix: none })).length, 2);
  await same.touch(2, { ttl: none });
  await same.fetch(2, () => loaded, { signal: none, lease: none });
  await same.close();

  const many: Map<number, User | undefined> = await users.mGet([1, 2, 3]);
  strictEqual(many.get(3), undefined);

  const length = memoize(
    new ClusteredCache<string, number>(),
    async (text: string) => text.length,
    (text) => text,
  );
  const letters: number = await length('seven..');
  strictEqual(letters, 7);

  const bytes = new ClusteredCache<string, Uint8Array>({ namespace: 'bytes' });
  const texts = wrap(bytes, {
    encode: (text: string) => new TextEncoder().encode(text),
    decode: (encoded: Uint8Array) => new TextDecoder().decode(encoded),
  });
  await texts.set('greeting', 'hello');
  const greeting: string | undefined = await texts.get('greeting');
  strictEqual(greeting, 'hello');
  const views: string[] = [texts.namespace, texts.on('degraded', (error: Error) => console.warn(error)).role];
  strictEqual(views.join(), 'bytes,host');
  if (Symbol.asyncDispose) await texts[Symbol.asyncDispose]();

  try {
    await users.incr(1);
  } catch (error) {
    strictEqual(isClusteredCacheError(error), true);
    if (error instanceof ClusteredCacheError) strictEqual(error.code, 'ERR_CC_NOT_A_NUMBER');
  }

  // @ts-expect-error a user is not a string
  await users.set(3, 'Linus');
  // @ts-expect-error the function returns no user
  memoize(users, async (id: number) => String(id), Number);
  // @ts-expect-error keys are numbers here
  await users.get('1');
  await users.delete(3);
}

void main();
