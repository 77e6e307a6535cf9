/** Finds the near caches that are affected by this process's changes. */

import type { Near } from './near.js';

type Key = string | number;

/** A key that is being changed, or an entry with that key. */
export type Changed = Key | { readonly key: Key };

/**
 * The near caches of one namespace on one link. When any instance changes an entry, all of them drop it: a caller sees
 * its own changes, awaited or not, through every instance.
 */
export class NearRegistry {
  /** Instances of the namespace, with a near cache or without. */
  instances = 0;
  #all: Near[] = [];

  add(near: Near): void {
    this.#all = [...this.#all, near];
  }

  remove(near: Near): void {
    this.#all = this.#all.filter((one) => one !== near);
  }

  /** `key` is being changed. */
  readonly forget = (key: Key): void => {
    for (const near of this.#all) near.forget(key);
  };

  /** Several keys, or entries, are being changed. */
  forgetEach(changed: readonly Changed[]): void {
    if (this.#all.length === 0) return;
    for (const one of changed) this.forget(typeof one === 'object' ? one.key : one);
  }

  /** Tells the host of the hits that it does not know of. */
  report(): void {
    for (const near of this.#all) near.report();
  }

  /** Any entry may be changed. */
  clear(): void {
    for (const near of this.#all) near.clear();
  }
}

/** The registries of all namespaces in use on one link. */
export class NearRegistries {
  readonly #byNamespace = new Map<string, NearRegistry>();

  /** The registry of `namespace`, for one more instance of it. */
  enter(namespace: string): NearRegistry {
    const registry = this.#byNamespace.get(namespace) ?? new NearRegistry();
    registry.instances += 1;
    this.#byNamespace.set(namespace, registry);
    return registry;
  }

  /** An instance of `namespace` was closed. */
  leave(namespace: string): void {
    const registry = this.#byNamespace.get(namespace);
    if (registry && (registry.instances -= 1) === 0) this.#byNamespace.delete(namespace);
  }

  /** Tells the host of the hits that it does not know of. */
  report(): void {
    for (const registry of this.#byNamespace.values()) registry.report();
  }
}
