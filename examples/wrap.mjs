// Values through a codec of your own: here compressed, and with their class restored.

import assert from 'node:assert/strict';
import { promisify } from 'node:util';
import { brotliCompress, brotliDecompress } from 'node:zlib';
import { ClusteredCache, wrap } from 'clustered-cache';

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);

class Article {
  constructor(title, body) {
    this.title = title;
    this.body = body;
  }

  get words() {
    return this.body.split(' ').length;
  }
}

/** @type {ClusteredCache<string, Buffer>} */
const cache = new ClusteredCache({ namespace: 'articles', maxSize: 64 * 1024 * 1024 });
const articles = wrap(cache, {
  encode: (article) => compress(JSON.stringify(article)),
  decode: async (bytes) => {
    const { title, body } = JSON.parse(String(await decompress(bytes)));
    return new Article(title, body);
  },
});

const article = new Article('On repetition', 'again and '.repeat(2_000).trim());
await articles.set('repetition', article, { ttl: 60_000 });

const copy = await articles.get('repetition');
assert.ok(copy instanceof Article);
assert.equal(copy.words, 4_000);
assert.deepEqual(copy, article);

// The cache contains the encoded value.
const stored = await articles.cache.get('repetition');
assert.ok(Buffer.isBuffer(stored) && stored.length < 100);
console.log(`${article.body.length} characters in ${stored.length} bytes`);

// Methods without values work as on the cache itself.
assert.equal(await articles.delete('repetition'), true);
assert.equal(await articles.get('repetition'), undefined);
await cache.close();
