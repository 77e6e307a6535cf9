// The cached values, the same for every contender.

/** An object of a web application, 250 bytes as JSON. */
export function object(index) {
  const user = {
    id: index,
    name: `User Number ${index}`,
    email: `user.${index}@example.com`,
    roles: ['reader', 'editor'],
    active: index % 2 === 0,
    balance: index + 0.25,
    address: { street: 'Main Street', city: 'Springfield', zip: '12345' },
    manager: null,
    note: '',
  };
  user.note = 'n'.repeat(250 - JSON.stringify(user).length);
  return user;
}

export const text = (index) => `${index}:`.padEnd(1_024, 'abcdefghijklmnopqrstuvwxyz');

/** A flat string of this many bytes, different for each index. */
export const filler = (index, bytes) => Buffer.alloc(bytes, `${index} `, 'latin1').latin1Slice();

const BYTES = 100 * 1_024;

export const bytes = (index) => Buffer.alloc(BYTES, `${index}: some bytes of any kind \u00ff\u0000`, 'latin1');

/**
 * Sets of entries by name: how many there are, under which keys, which values. `kind` selects the contender's methods
 * for such values.
 */
export const sets = {
  object: { kind: 'object', count: 1_000, key: (index) => `user:${index}`, value: object },
  text: { kind: 'text', count: 1_000, key: (index) => `page:${index}`, value: text },
  bytes: { kind: 'bytes', count: 100, key: (index) => `image:${index}`, value: bytes },
  short: { kind: 'text', count: 1_000, key: (index) => `tag:${index}`, value: (index) => filler(index, 16) },
  /** Few, for one process to change while others read them. */
  hot: { kind: 'text', count: 100, key: (index) => `hot:${index}`, value: text },
  missing: { kind: 'text', count: 1_000, key: (index) => `missing:${index}`, isMissing: true },
};

/** Small enough not to disturb the machine, and large enough that large values are not in a processor's cache. */
const ALL_OF_A_SIZE = 16 * 1024 ** 2;

/** Strings or buffers of one size: `text-1024`. */
const ofSize = (kind, bytes) => ({
  kind,
  count: Math.min(1_000, Math.max(16, ALL_OF_A_SIZE / bytes)),
  key: (index) => `${kind}:${bytes}:${index}`,
  value: (index) => (kind === 'text' ? filler(index, bytes) : Buffer.alloc(bytes, `${index} `)),
});

/** This many short strings, which are read in random order: `growth-1000000`. */
const ofCount = (count) => ({
  kind: 'text',
  count,
  key: (index) => `entry:${index}`,
  value: (index) => filler(index, 16),
  isScattered: true,
});

/** The set of that name. */
export function setOf(name) {
  if (name in sets) return sets[name];
  const [kind, number] = name.split('-');
  return kind === 'growth' ? ofCount(Number(number)) : ofSize(kind, Number(number));
}

/**
 * All keys of a set, in the order in which they are read; created in that order too, so that they are adjacent in
 * memory.
 */
export function keysOf({ count, key, isScattered }) {
  if (!isScattered) return Array.from({ length: count }, (_, index) => key(index));
  return shuffled(count).map((index) => key(index));
}

/** The numbers below `count` in a random order that is the same each time. */
function shuffled(count) {
  const numbers = Array.from({ length: count }, (_, index) => index);
  let seed = 1;
  for (let index = count - 1; index > 0; index--) {
    // A linear congruential generator: all its bits but the low ones are good enough for this.
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const other = Math.floor((seed / 2 ** 32) * (index + 1));
    [numbers[index], numbers[other]] = [numbers[other], numbers[index]];
  }
  return numbers;
}

/** The samples that the correctness check writes in one worker and reads in another. */
export const samples = {
  object: [
    object(7),
    { nested: [{ deep: [1, 2.5, -3, null, true] }], empty: {}, list: [], 'a key': 'Zo\u00eb \ud83d\ude00' },
  ],
  text: [text(7), '', 'line\nline "quoted" \\ \u2028 Zo\u00eb \ud83d\ude00'],
  bytes: [bytes(7), Buffer.alloc(0), Buffer.from([0, 10, 13, 34, 92, 127, 128, 255])],
};

export const sampleKey = (kind, index) => `sample:${kind}:${index}`;

/** Stores all samples. */
export async function writeSamples(cache) {
  for (const [kind, list] of Object.entries(samples)) {
    for (const [index, value] of list.entries()) await cache[kind].set(sampleKey(kind, index), value);
  }
}

const AT_ONCE = 1_000;
const BYTES_AT_ONCE = 8 * 1024 ** 2;

/** Stores all entries of a set. */
export async function fill(cache, { kind, count, key, value, isMissing }) {
  if (isMissing) return;
  const atOnce = Math.max(1, Math.min(AT_ONCE, Math.floor(BYTES_AT_ONCE / (value(0).length ?? 1))));
  for (let from = 0; from < count; from += atOnce) {
    const batch = Array.from({ length: Math.min(atOnce, count - from) }, (_, index) => from + index);
    await Promise.all(batch.map((index) => cache[kind].set(key(index), value(index))));
  }
}
