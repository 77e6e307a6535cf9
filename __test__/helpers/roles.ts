import type { ExecutionContext, TestFn } from 'ava';
import { ClusteredCache } from '../../index.js';
import { type Agent, Agents } from './agents.ts';
import { patient } from './names.ts';

export type Role = 'host' | 'client';
export const ROLES: readonly Role[] = ['host', 'client'];

type Options = NonNullable<ConstructorParameters<typeof ClusteredCache>[0]>;
export type AnyCache = ClusteredCache<string | number, any>;

/** The context of a behaviour: the same code is tested in the host and in a client. */
export interface Bench {
  role: Role;
  /** Opens a cache with a unique namespace, unless `options` gives one. */
  open(options?: Options): Promise<AnyCache>;
  /** Options for a namespace in this role. */
  options(options?: Options): Options;
  /** Another process that is a client of the same host; tests share it. */
  peer(): Promise<Agent>;
  /** Another such process for this test alone, which may end it. */
  stranger(): Promise<Agent>;
  /** Options with which a peer reaches the namespace. */
  reach(cache: AnyCache, options?: Options): Promise<Options>;
}

export type Behaviour = (t: ExecutionContext, bench: Bench) => Promise<void>;

/**
 * Registers `behaviour` twice: with this process as the host, and with this process as the client of another one. Call
 * `rolesOf` once in a spec file.
 */
export function rolesOf(test: TestFn): {
  (title: string, behaviour: Behaviour): void;
  serial(title: string, behaviour: Behaviour): void;
} {
  let agents: Agents;
  let endpoint: string;
  const peers = new Map<Role, Promise<Agent>>();
  let listener: ReturnType<typeof ClusteredCache.listen> | undefined;
  const endpointOf = async (role: Role): Promise<string> =>
    role === 'client' ? endpoint : (await (listener ??= ClusteredCache.listen())).endpoint;
  test.before(async () => {
    agents = await Agents.start();
    const host = await agents.spawn();
    endpoint = await host.run(async ({ cc, state }) => {
      state.listener = await cc.ClusteredCache.listen();
      return state.listener.endpoint;
    });
  });
  test.after.always(async () => {
    await agents?.close();
    await (await listener)?.close();
  });

  const bench = (role: Role, t: ExecutionContext): Bench => {
    const options = (given: Options = {}): Options => ({
      ...patient(),
      ...(role === 'client' && { endpoint }),
      ...given,
    });
    return {
      role,
      options,
      open: async (given) => {
        const cache: AnyCache = new ClusteredCache(options(given));
        t.teardown(() => cache.close());
        await cache.ready;
        return cache;
      },
      peer: async () => {
        const started = peers.get(role) ?? agents.spawn();
        peers.set(role, started);
        return started;
      },
      stranger: () => agents.spawn(),
      reach: async (cache, given = {}) => ({
        ...patient(),
        namespace: cache.namespace,
        endpoint: await endpointOf(role),
        ...given,
      }),
    };
  };
  const register = (define: TestFn | TestFn['serial']) => (title: string, behaviour: Behaviour) => {
    for (const role of ROLES) define(`${role}: ${title}`, (t) => behaviour(t, bench(role, t)));
  };
  return Object.assign(register(test), { serial: register(test.serial) });
}
