type Key = string | number;

/** The model: a bounded LRU cache, written as simply as possible. */
export class Lru {
  /** Least recently used first, as a Map keeps its order of insertion. */
  readonly #entries = new Map<Key, unknown>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Key): unknown {
    if (!this.#entries.has(key)) return undefined;
    const value = this.#entries.get(key);
    this.#entries.delete(key);
    this.#entries.set(key, value);
    return value;
  }

  peek(key: Key): unknown {
    return this.#entries.get(key);
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  set(key: Key, value: unknown): boolean {
    this.#entries.delete(key);
    this.#entries.set(key, value);
    if (this.#entries.size > this.#max) {
      const [oldest] = this.#entries.keys();
      this.#entries.delete(oldest!);
    }
    return true;
  }

  delete(key: Key): boolean {
    return this.#entries.delete(key);
  }

  incr(key: Key, amount: number): number {
    const value = ((this.peek(key) as number | undefined) ?? 0) + amount;
    this.set(key, value);
    return value;
  }

  clear(): number {
    const { size } = this;
    this.#entries.clear();
    return size;
  }

  /** Most recently used first. */
  entries(): [Key, unknown][] {
    return [...this.#entries].toReversed();
  }

  /** String keys with this prefix, most recently used first. */
  keys(prefix: string): Key[] {
    return this.entries().flatMap(([key]) => (typeof key === 'string' && key.startsWith(prefix) ? [key] : []));
  }
}
