'use strict';
// One member of a linearizability run: it carries out a plan, and records for each operation its answer, when it was
// requested and when it was answered. Everything is encoded as numbers; see plan.ts.
const { isDeepStrictEqual } = require('node:util');

/** Numbers that describe an operation: kind, key, argument, way. */
const PLANNED = 4;
/** Numbers that describe its result: answer, from, to. */
const RECORDED = 3;
Object.assign(exports, { PLANNED, RECORDED });
/** No value that is ever written: an answer that is not what it should be in itself. */
const FOREIGN = -1;
const SYNC = { get: 'getSync', has: 'hasSync' };

/**
 * Nanoseconds of the machine's monotonic clock, the same in every process. As a number it is exact for the first 104
 * days of the machine's uptime; later, moments that lie within a few nanoseconds may become the same one, which makes
 * operations concurrent that were not: the check is then a little less strict, and never wrong.
 */
const now = () => Number(process.hrtime.bigint());

/** The value that a number stands for in a register: of several types and sizes, and telling its number throughout. */
function valueOf(number) {
  if (number % 3 === 0) return number;
  const text = `${number} `.repeat((number % 50) + 1);
  return number % 3 === 1 ? text : { number, text, list: [number, { deep: `${number}` }] };
}

/** The number that a value stands for. */
function numberOf(value) {
  const number = typeof value === 'string' ? parseInt(value, 10) : typeof value === 'object' ? value?.number : value;
  return Number.isSafeInteger(number) && isDeepStrictEqual(value, valueOf(number)) ? number : FOREIGN;
}

/** A cache that answers every other read from copies of earlier answers: a fault that a run must detect. */
function stale(cache) {
  const copies = new Map();
  let reads = 0;
  const get = async (key) => {
    if (reads++ % 2 === 1 && copies.has(key)) return copies.get(key);
    const value = await cache.get(key);
    copies.set(key, value);
    return value;
  };
  const own = (member) => (typeof member === 'function' ? member.bind(cache) : member);
  return new Proxy(cache, { get: (cache, name) => (name === 'get' ? get : own(cache[name])) });
}

exports.Member = class Member {
  #kinds;
  #keys;
  #counters;
  #ways;
  #problems = [];

  /**
   * @param {(options: object) => object} cache the process's cache for these options
   * @param {object} options of the namespace
   * @param {{ options?: object, sync?: boolean, stale?: boolean }[]} ways by their numbers in plans
   * @param {{ kinds: string[], keys: string[], counters: string[] }} names by their numbers in plans
   */
  constructor(cache, options, ways, { kinds, keys, counters }) {
    this.#kinds = kinds;
    this.#keys = keys;
    this.#counters = new Set(counters);
    this.#ways = ways.map((way) => {
      const own = cache({ ...options, ...way.options });
      return { sync: way.sync, cache: way.stale ? stale(own) : own };
    });
  }

  /** Settles when the cache can be used. */
  async ready() {
    for (const { cache } of this.#ways) await cache.ready;
  }

  /** Carries out a plan with up to `flight` operations at a time; three numbers for each: answer, from, to. */
  async burst(plan, flight) {
    const records = new Float64Array((plan.length / PLANNED) * RECORDED);
    let next = 0;
    const lane = async () => {
      while (next * PLANNED < plan.length) {
        const index = next++;
        await this.#carryOut(plan.subarray(index * PLANNED), records.subarray(index * RECORDED));
      }
    };
    await Promise.all(Array.from({ length: flight }, lane));
    return { records, problems: this.#problems.splice(0) };
  }

  async #carryOut([kind, key, argument, way], record) {
    const name = this.#kinds[kind];
    const { cache, sync } = this.#ways[way];
    const method = (sync && SYNC[name]) || name;
    const args = this.#argumentsOf(name, this.#keys[key], argument);
    record[1] = now();
    try {
      // A synchronous answer is recorded at once.
      const answer = method === name ? await cache[method](...args) : cache[method](...args);
      record[2] = now();
      record[0] = this.#answer(name, this.#keys[key], answer);
    } catch (error) {
      // It may have taken effect, or may yet.
      record.set([NaN, record[1], Infinity]);
      this.#problems.push(`${method}(${args.join(', ')}): ${error.code} ${error.message}`);
    }
  }

  #argumentsOf(name, key, argument) {
    if (name === 'clear') return [];
    if (name === 'incr') return [key, argument];
    return Number.isNaN(argument) ? [key] : [key, this.#counters.has(key) ? argument : valueOf(argument)];
  }

  /** The answer as a number. */
  #answer(name, key, answer) {
    if (name === 'clear' || answer === undefined) return NaN;
    if (typeof answer === 'boolean') return Number(answer);
    const number = this.#counters.has(key) && typeof answer === 'number' ? answer : numberOf(answer);
    if (number === FOREIGN) this.#problems.push(`${name}(${key}): answered ${JSON.stringify(answer)}`);
    return number;
  }
};
