/** Reproducible random choices (xorshift32): the same seed, the same run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  /** An integer from 0, below `bound`. */
  below(bound: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state % bound;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** Up to `most` different items. */
  several<T>(items: readonly T[], most: number): T[] {
    return [...new Set(Array.from({ length: this.below(most) + 1 }, () => this.pick(items)))];
  }
}
