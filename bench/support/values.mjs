// What is cached: the same for every contender.

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

/** A flat string of so many bytes, unlike that of any other index. */
export const filler = (index, bytes) => Buffer.alloc(bytes, `${index} `, 'latin1').latin1Slice();

const BYTES = 100 * 1_024;

export const bytes = (index) => Buffer.alloc(BYTES, `${index}: some bytes of any kind \u00ff\u0000`, 'latin1');

/** The kinds of values: how many of them there are, under which keys. */
export const shapes = {
  object: { count: 1_000, key: (index) => `user:${index}`, value: object },
  text: { count: 1_000, key: (index) => `page:${index}`, value: text },
  bytes: { count: 100, key: (index) => `image:${index}`, value: bytes },
};

/** What the check of correctness writes in one worker and reads in another. */
export const samples = {
  object: [
    object(7),
    { nested: [{ deep: [1, 2.5, -3, null, true] }], empty: {}, list: [], 'a key': 'Zo\u00eb \ud83d\ude00' },
  ],
  text: [text(7), '', 'line\nline "quoted" \\ \u2028 Zo\u00eb \ud83d\ude00'],
  bytes: [bytes(7), Buffer.alloc(0), Buffer.from([0, 10, 13, 34, 92, 127, 128, 255])],
};

export const sampleKey = (shape, index) => `sample:${shape}:${index}`;

/** Stores all samples. */
export async function writeSamples(cache) {
  for (const [shape, list] of Object.entries(samples)) {
    for (const [index, value] of list.entries()) await cache[shape].set(sampleKey(shape, index), value);
  }
}
