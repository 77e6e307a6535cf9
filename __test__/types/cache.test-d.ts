// The types as users see them. Checked by `npm run check`; never run.
import { expectTypeOf } from 'expect-type';
import {
  type CacheOptions,
  ClusteredCache,
  type ClusteredCacheError,
  type Dump,
  type Fetcher,
  type NearOptions,
  isClusteredCacheError,
  memoize,
  wrap,
} from '../../index.js';

interface User {
  id: number;
  name: string;
}

// --- construct ---------------------------------------------------------------------------------------------------

expectTypeOf(new ClusteredCache()).toEqualTypeOf<ClusteredCache<string, unknown>>();
const users = new ClusteredCache<string, User>({ namespace: 'users', max: 10, ttl: 1_000, allowStale: true });
const numbered = new ClusteredCache<number, string>();
const mixed = new ClusteredCache<string | number, User | null>({ cacheNull: true });

expectTypeOf(ClusteredCache.getInstance<string, User>({})).resolves.toEqualTypeOf<ClusteredCache<string, User>>();
expectTypeOf(ClusteredCache.bootstrap).returns.toBeVoid();
expectTypeOf(ClusteredCache.listen).returns.resolves.toMatchTypeOf<{ endpoint: string; close(): Promise<void> }>();
expectTypeOf(ClusteredCache.getAllCaches()).toExtend<Map<string, unknown>>();
expectTypeOf(users.role).toEqualTypeOf<'host' | 'client'>();
expectTypeOf(users.namespace).toBeString();
expectTypeOf(users.transport).toEqualTypeOf<'direct' | 'shared' | 'socket'>();
expectTypeOf(users.ready).resolves.toBeVoid();
expectTypeOf(users.close()).resolves.toBeVoid();
expectTypeOf(users[Symbol.asyncDispose]()).resolves.toBeVoid();

// @ts-expect-error keys are strings or numbers
void (undefined as unknown as ClusteredCache<boolean, string>);
// @ts-expect-error an option that does not exist
void new ClusteredCache({ maximum: 5 });
// @ts-expect-error an option of the wrong type
void new ClusteredCache({ max: '5' });
// @ts-expect-error a value that is not one of the two
void new ClusteredCache({ failsafe: 'throw' });

void new ClusteredCache({ near: true });
void new ClusteredCache({ near: false });
void new ClusteredCache({ near: {} });
void new ClusteredCache({ near: { max: 100 } });
void new ClusteredCache({ near: undefined });
// @ts-expect-error neither true, false nor options
void new ClusteredCache({ near: 100 });
// @ts-expect-error an option of near caches that does not exist
void new ClusteredCache({ near: { ttl: 5 } });
// @ts-expect-error an option of near caches of the wrong type
void new ClusteredCache({ near: { max: '5' } });
const nearOptions: NearOptions = { max: 5 };
expectTypeOf<CacheOptions['near']>().toEqualTypeOf<boolean | NearOptions | undefined>();
void new ClusteredCache({ near: nearOptions });

// --- core --------------------------------------------------------------------------------------------------------

expectTypeOf(users.get('1')).resolves.toEqualTypeOf<User | undefined>();
expectTypeOf(users.peek('1')).resolves.toEqualTypeOf<User | undefined>();
expectTypeOf(users.getAndDelete('1')).resolves.toEqualTypeOf<User | undefined>();
expectTypeOf(users.getAndSet('1', { id: 1, name: 'Ada' }, { expiresAt: 5 })).resolves.toEqualTypeOf<User | undefined>();
expectTypeOf(users.getAndSetSync('1', { id: 1, name: 'Ada' })).toEqualTypeOf<User | undefined>();
expectTypeOf(users.set('1', { id: 1, name: 'Ada' })).resolves.toBeBoolean();
expectTypeOf(users.setIfAbsent('1', { id: 1, name: 'Ada' }, { ttl: 5 })).resolves.toBeBoolean();
expectTypeOf(users.delete('1')).resolves.toBeBoolean();
expectTypeOf(users.has('1')).resolves.toBeBoolean();
expectTypeOf(users.clear({ prefix: 'a' })).resolves.toBeNumber();
expectTypeOf(users.mGet(['1'])).resolves.toEqualTypeOf<Map<string, User | undefined>>();
expectTypeOf(users.mHas(new Set(['1']))).resolves.toEqualTypeOf<Map<string, boolean>>();
expectTypeOf(
  users.mSet([
    ['1', { id: 1, name: 'Ada' }],
    ['2', { id: 2, name: 'Alan' }, { ttl: 5 }],
  ]),
).resolves.toBeNumber();
expectTypeOf(users.mSet(new Map([['1', { id: 1, name: 'Ada' }]]))).resolves.toBeNumber();
expectTypeOf(users.mDelete(['1'])).resolves.toBeNumber();
expectTypeOf(users.keys()).resolves.toEqualTypeOf<string[]>();
expectTypeOf(users.values()).resolves.toEqualTypeOf<User[]>();
expectTypeOf(users.entries({ prefix: 'a' })).resolves.toEqualTypeOf<[string, User][]>();
expectTypeOf(numbered.keys()).resolves.toEqualTypeOf<number[]>();
expectTypeOf(mixed.get(1)).resolves.toEqualTypeOf<User | null | undefined>();
expectTypeOf(users.size()).resolves.toBeNumber();
expectTypeOf(users.incr('n', 1, { ttl: 5, min: 0, max: 9 })).resolves.toBeNumber();
expectTypeOf(users.incr('n', 1, { ifPresent: true })).resolves.toEqualTypeOf<number | undefined>();
expectTypeOf(users.count('n', 1, { ifPresent: true, now: 5 }))
  .resolves.extract<undefined>()
  .toBeUndefined();
expectTypeOf(users.incrSync('n', 1, { ifPresent: true })).toEqualTypeOf<number | undefined>();
expectTypeOf(users.mDelete(['1'], { each: true })).resolves.toEqualTypeOf<Map<string, boolean>>();
expectTypeOf(users.mSet([], { each: true, ttl: 5 })).resolves.toEqualTypeOf<Map<string, boolean>>();
expectTypeOf(users.mSetSync([], { each: true })).toEqualTypeOf<Map<string, boolean>>();
expectTypeOf(users.destroy()).resolves.toBeBoolean();
expectTypeOf(users.scan({ prefix: 'a', page: 9 })).toEqualTypeOf<AsyncGenerator<[string, User], void, void>>();
expectTypeOf(users.count('n')).resolves.toEqualTypeOf<{ value: number; remainingTTL: number; created: boolean }>();
expectTypeOf(users.info('1')).resolves.exclude<undefined>().toHaveProperty('remainingTTL').toBeNumber();
expectTypeOf(users.getRemainingTTL('1')).resolves.toBeNumber();
expectTypeOf(users.touch('1', { ttl: 5 })).resolves.toBeBoolean();
expectTypeOf(users.purgeStale()).resolves.toBeBoolean();
expectTypeOf(users.load).parameter(0).toExtend<Iterable<unknown>>();
expectTypeOf(users.getSync('1')).toEqualTypeOf<User | undefined>();
expectTypeOf(users.peekSync('1')).toEqualTypeOf<User | undefined>();
expectTypeOf(users.hasSync('1')).toBeBoolean();
expectTypeOf(users.setSync('1', { id: 1, name: 'Ada' })).toBeBoolean();
expectTypeOf(users.incrSync('n')).toBeNumber();

for await (const [key, value] of users) {
  expectTypeOf(key).toBeString();
  expectTypeOf(value).toEqualTypeOf<User>();
}

void users.load(await users.dump());

// @ts-expect-error a key of the wrong type
void users.get(1);
// @ts-expect-error a value of the wrong type
void users.set('1', 'Ada');
// @ts-expect-error counters have no absolute end
void users.incr('n', 1, { expiresAt: 5 });

// --- loading -----------------------------------------------------------------------------------------------------

expectTypeOf(users.fetch('1', async () => ({ id: 1, name: 'Ada' }))).resolves.toEqualTypeOf<User>();
expectTypeOf(users.fetch('1', () => ({ id: 1, name: 'Ada' }), { ttl: 5 })).resolves.toEqualTypeOf<User>();
declare const found: User | undefined;
expectTypeOf(users.fetch('1', () => found)).resolves.toEqualTypeOf<User | undefined>();
expectTypeOf(users.fetch('1', async () => found)).resolves.toEqualTypeOf<User | undefined>();
expectTypeOf(mixed.fetch(1, () => null)).resolves.toEqualTypeOf<User | null>();
const fetcher: Fetcher<string, User> = async () => found;
expectTypeOf(users.fetch('1', fetcher)).resolves.toEqualTypeOf<User | undefined>();
void users.fetch(
  '1',
  (key, { signal }) => {
    expectTypeOf(key).toBeString();
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
    return undefined;
  },
  { ttl: 5, lease: 5, forceRefresh: true, signal: AbortSignal.timeout(5) },
);
// @ts-expect-error the fetcher does not return a value of the cache
void users.fetch('1', () => 'Ada');

const load = memoize(
  users,
  async (id: number, _fresh: boolean): Promise<User> => ({ id, name: 'Ada' }),
  (id) => `user:${id}`,
);
expectTypeOf(load).parameters.toEqualTypeOf<[id: number, fresh: boolean]>();
expectTypeOf(load(1, true)).resolves.toEqualTypeOf<User>();
expectTypeOf(load.refresh(1, true)).resolves.toEqualTypeOf<User>();
expectTypeOf(load.forget(1, true)).resolves.toBeBoolean();
// @ts-expect-error arguments are those of the function
void load('1', true);

const find = memoize(
  users,
  async (id: string) => (id === '' ? undefined : { id: 1, name: 'Ada' }),
  (id) => id,
);
expectTypeOf(find('1')).resolves.toEqualTypeOf<User | undefined>();
expectTypeOf(
  memoize(
    new ClusteredCache(),
    (n: number) => n * n,
    (n) => `square:${n}`,
  )(2),
).resolves.toBeNumber();
// @ts-expect-error results of another type than the values of the cache
void memoize(users, async (_id: string) => 5, String);
// @ts-expect-error results that only in part have the type of the values
void memoize(users, (id: string) => (id === '' ? 'none' : { id: 1, name: 'Ada' }), String);

class Repository {
  readonly prefix = 'user:';
  find = memoize(
    users,
    async function (this: Repository, id: number): Promise<User> {
      return { id, name: this.prefix };
    },
    function (id) {
      return `${this.prefix}${id}`;
    },
  );
}
const repository = new Repository();
expectTypeOf(repository.find(1)).resolves.toEqualTypeOf<User>();
expectTypeOf(repository.find.refresh.call(repository, 1)).resolves.toEqualTypeOf<User>();
const { find: findAlone } = repository;
// @ts-expect-error the function needs its `this`
void findAlone(1);

const dates = wrap(numbered, { encode: (date: Date) => date.toISOString(), decode: (text) => new Date(text) });
expectTypeOf(dates.get(1)).resolves.toEqualTypeOf<Date | undefined>();
expectTypeOf(dates.set(1, new Date())).resolves.toBeBoolean();
expectTypeOf(dates.mGet([1])).resolves.toEqualTypeOf<Map<number, Date | undefined>>();
expectTypeOf(dates.values()).resolves.toEqualTypeOf<Date[]>();
expectTypeOf(dates.fetch(1, async () => new Date())).resolves.toEqualTypeOf<Date>();
expectTypeOf(dates.fetch(1, () => undefined)).resolves.toEqualTypeOf<Date | undefined>();
expectTypeOf(dates.getSync(1)).toEqualTypeOf<Date | undefined>();
expectTypeOf(dates.peekSync(1)).toEqualTypeOf<Date | undefined>();
expectTypeOf(dates.namespace).toBeString();
expectTypeOf(dates.role).toEqualTypeOf<'host' | 'client'>();
expectTypeOf(dates.transport).toEqualTypeOf<'direct' | 'shared' | 'socket'>();
expectTypeOf(dates.ready).resolves.toBeVoid();
expectTypeOf(dates.on('degraded', (error) => expectTypeOf(error).toEqualTypeOf<Error>())).toEqualTypeOf<typeof dates>();
expectTypeOf(dates.dump()).resolves.toEqualTypeOf<Dump<number, string>>();
void dates.load(await dates.dump());
expectTypeOf(dates[Symbol.asyncDispose]()).resolves.toBeVoid();
// @ts-expect-error only the host has these, and it has the cache itself
void dates.setSync;
expectTypeOf(dates.cache).toEqualTypeOf<ClusteredCache<number, string>>();
expectTypeOf(dates.has(1)).resolves.toBeBoolean();
// @ts-expect-error values are those of the codec
void dates.set(1, 'today');

// --- life, metrics, errors ---------------------------------------------------------------------------------------

expectTypeOf(users.stats()).resolves.toExtend<{
  hits: number;
  misses: number;
  fetches: { leads: number };
  near: { hits: number };
}>();
expectTypeOf(users.max()).resolves.toEqualTypeOf<number | undefined>();
expectTypeOf(users.maxSize(5)).resolves.toBeNumber();
expectTypeOf(users.allowStale(true)).resolves.toBeBoolean();
expectTypeOf(users.on('degraded', (error) => expectTypeOf(error).toExtend<Error>())).toEqualTypeOf<typeof users>();
users.on('restored', () => {}).on('epoch', (epoch) => expectTypeOf(epoch).toBeNumber());
// @ts-expect-error an event that does not exist
users.on('lost', () => {});

const problem: unknown = undefined;
if (isClusteredCacheError(problem)) {
  expectTypeOf(problem).toExtend<Error>();
  expectTypeOf(problem.code).toExtend<string>();
  if (problem.code === 'ERR_CC_TIMEOUT') expectTypeOf(problem.message).toBeString();
  // @ts-expect-error a code that does not exist
  if (problem.code === 'ERR_CC_NO_SUCH_CODE') problem.message.trim();
}
expectTypeOf<ClusteredCacheError>().toExtend<Error>();
