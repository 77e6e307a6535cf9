/** What `console.log` and `util.inspect` show of a cache. */

import { inspect, type InspectOptions } from 'node:util';

/** The part of a cache that is shown. */
export interface Shown {
  readonly namespace: string;
  readonly role: string;
  readonly transport: string;
}

/** Where an instance is in its life. */
export type Stage = 'opening' | 'open' | 'refused' | 'degraded' | 'closed';

/** Gives the caches of a class their appearance; `stage` tells where one of them is in its life. */
export function showAs<T extends Shown>(prototype: T, stage: (cache: T) => Stage): void {
  Object.defineProperty(prototype, inspect.custom, {
    value(this: T, depth: number, options: InspectOptions): string {
      const name = this.constructor.name;
      // The prototype itself has no link.
      if (!Object.hasOwn(this, 'namespace')) return `${name} {}`;
      if (depth < 0) return `[${name}]`;
      const { namespace, role, transport } = this;
      const shown = { namespace, role, transport, state: stage(this) };
      return `${name} ${inspect(shown, { ...options, depth })}`;
    },
    configurable: true,
    writable: true,
  });
}
