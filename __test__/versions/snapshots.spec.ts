import path from 'node:path';
import { directoryFor } from '../helpers/directories.ts';
import { node, type Outcome } from '../helpers/scripts.ts';
import { packageOf, PAIRS, type Version, versions } from './packages.ts';

const HOUR = 3_600_000;

/** Runs a script with that build as `cc`, in which `cache(more)` opens a cache that is saved to `file`. */
const saving = (version: Version, file: string, source: string): Promise<Outcome> =>
  node([
    '-e',
    `const cc = require(${JSON.stringify(packageOf(version))});
     const cache = (more) => new cc.ClusteredCache({ persist: { path: ${JSON.stringify(file)} }, ...more });
     const show = (value) => console.log(JSON.stringify(value));
     (async () => { ${source} })();`,
  ]);

const CLEAN = { code: 0, signal: null, hung: false, stderr: '' };

const WRITE = `
  const one = cache();
  await one.mSet(Array.from({ length: 5_000 }, (_, n) => ['entry:' + n, { n, text: 'é'.repeat(n % 50) }]));
  await one.set('map', new Map([[1, new Date(5)]]), { size: 77 });
  await one.set('an hour', Buffer.from('bytes'), { ttl: ${HOUR} });
  await one.set(1, null).catch((error) => show(error.code));
  await one.count('window', 5, { ttl: ${HOUR} });
  await one.get('entry:0');
  const other = cache({ namespace: 'other', max: 30, cacheNull: true, ttl: ${HOUR} });
  for (let n = 0; n < 40; n += 1) await other.set(n, n % 2 ? null : n);
  await other.max(20);`;

const READ = `
  const one = cache();
  const { size, hits, sets } = await one.stats();
  show([size, hits, sets]);
  const keys = await one.keys();
  show([keys[0], keys[1], keys[2], keys.at(-1)]);
  const all = await one.mGet(keys.filter((key) => key.startsWith('entry:')));
  show([...all].every(([key, { n, text }]) => key === 'entry:' + n && text.length === n % 50));
  const map = await one.get('map');
  show([map.get(1).getTime(), (await one.info('map')).size, String(await one.get('an hour'))]);
  const left = [await one.getRemainingTTL('an hour'), await one.getRemainingTTL('window')];
  show(left.every((ms) => ms > ${HOUR / 2} && ms <= ${HOUR}));
  show([await one.getRemainingTTL('map') === Infinity, await one.incr('window')]);
  const other = cache({ namespace: 'other', cacheNull: true });
  show([await other.keys(), await other.get(39), await other.getRemainingTTL(39) > ${HOUR / 2}]);
  show(await other.getAndSet?.(38, 'swapped'));`;

for (const [writer, reader] of PAIRS) {
  versions(
    `a snapshot of the ${writer} build is read by the ${reader} one, and what that saves by the other`,
    async (t) => {
      t.timeout(60_000);
      const file = path.join(directoryFor(t), 'snapshot');
      t.like(await saving(writer, file, WRITE), { ...CLEAN, stdout: '"ERR_CC_INVALID_VALUE"\n' });
      const expected = (swapped: string, window: number): string =>
        [
          '[5003,0,0]',
          '["entry:0","window","an hour","entry:1"]',
          'true',
          '[5,77,"bytes"]',
          'true',
          `[true,${window}]`,
          `[[${Array.from({ length: 20 }, (_, index) => 39 - index).join(',')}],null,true]`,
          swapped,
          '',
        ].join('\n');
      const swapped = (version: Version) => (version === 'newer' ? '38' : 'undefined');
      t.like(await saving(reader, file, READ), { ...CLEAN, stdout: expected(swapped(reader), 6) });
      // Reads have moved what is used last to the front: only what is there is compared.
      const third = await saving(writer, file, `show([await cache().size(), await cache().get('window')]);`);
      t.like(third, { ...CLEAN, stdout: '[5003,6]\n' });
    },
  );
}
