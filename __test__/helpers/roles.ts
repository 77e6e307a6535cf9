import type { ExecutionContext, TestFn } from 'ava';
import { ClusteredCache } from '../../index.js';
import { Agents } from './agents.ts';
import { unique } from './names.ts';

export type Role = 'host' | 'client';
export const ROLES: readonly Role[] = ['host', 'client'];

type Options = NonNullable<ConstructorParameters<typeof ClusteredCache>[0]>;
export type AnyCache = ClusteredCache<string | number, any>;

/** What a behaviour is tested with: the same code runs where the data live and where they do not. */
export interface Bench {
  role: Role;
  /** A namespace of its own, unless `options` names one. */
  open(options?: Options): Promise<AnyCache>;
  /** Options that reach a namespace in this role. */
  options(options?: Options): Options;
}

export type Behaviour = (t: ExecutionContext, bench: Bench) => Promise<void>;

/**
 * Registers `behaviour` twice: in this process as the host, and in this process as the client of another one. Call
 * `rolesOf` once in a spec file.
 */
export function rolesOf(test: TestFn): {
  (title: string, behaviour: Behaviour): void;
  serial(title: string, behaviour: Behaviour): void;
} {
  let agents: Agents;
  let endpoint: string;
  test.before(async () => {
    agents = await Agents.start();
    const host = await agents.spawn();
    endpoint = await host.run(async ({ cc, state }) => {
      state.listener = await cc.ClusteredCache.listen();
      return state.listener.endpoint;
    });
  });
  test.after.always(() => agents?.close());

  const bench = (role: Role, t: ExecutionContext): Bench => {
    const options = (given: Options = {}): Options => ({
      namespace: unique(),
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
    };
  };
  const register = (define: TestFn | TestFn['serial']) => (title: string, behaviour: Behaviour) => {
    for (const role of ROLES) define(`${role}: ${title}`, (t) => behaviour(t, bench(role, t)));
  };
  return Object.assign(register(test), { serial: register(test.serial) });
}
