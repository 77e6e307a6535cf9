import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { unique } from './helpers/names.ts';
import { node, ROOT, script } from './helpers/scripts.ts';

test('a scope separates namespaces of the same name, and is not part of the name', async (t) => {
  const namespace = unique();
  const outcome = await script(
    `
    const namespace = ${JSON.stringify(namespace)};
    (async () => {
      const plain = new cc.ClusteredCache({ namespace });
      await plain.set('key', 'plain');
      process.env.CLUSTERED_CACHE_SCOPE = 'one';
      const [one, again] = [new cc.ClusteredCache({ namespace }), new cc.ClusteredCache({ namespace })];
      await one.set('key', 'one');
      process.env.CLUSTERED_CACHE_SCOPE = 'two';
      const two = new cc.ClusteredCache({ namespace, max: 5 });
      console.log(await plain.get('key'), await again.get('key'), await two.get('key'));
      console.log(two.namespace === namespace, (await two.stats()).namespace === namespace);
      const all = cc.ClusteredCache.getAllCaches();
      console.log([...all.keys()].join() === namespace, await all.get(namespace).size(), await two.max());
      process.env.CLUSTERED_CACHE_SCOPE = '';
      console.log(await new cc.ClusteredCache({ namespace: 'one/' + namespace }).get('key'), cc.ClusteredCache.getAllCaches().size);
      await one.destroy();
      console.log(await plain.get('key'), await again.get('key'));
    })();
  `,
  );
  t.like(outcome, {
    code: 0,
    stderr: '',
    stdout: 'plain one undefined\ntrue true\ntrue 0 5\none 3\nplain undefined\n',
  });
});

test('workers of a cluster have the scope of their primary', async (t) => {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'cc-scope-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(
    path.join(directory, 'app.cjs'),
    `
    const cluster = require('node:cluster');
    const { ClusteredCache } = require(${JSON.stringify(`${ROOT}index.js`)});
    const cache = new ClusteredCache({ near: true, timeout: 20_000 });
    if (cluster.isPrimary) {
      cluster.fork().once('exit', async () => console.log(await cache.get('key'), [...ClusteredCache.getAllCaches().keys()].join()));
    } else {
      cache.set('key', 'of the worker').then(() => cluster.worker.disconnect());
    }
  `,
  );
  const outcome = await node([path.join(directory, 'app.cjs')], { env: { CLUSTERED_CACHE_SCOPE: unique() } });
  t.like(outcome, { code: 0, stderr: '', stdout: 'of the worker default\n' });
});

test('a scope that makes a name too long is refused', async (t) => {
  const outcome = await script(
    `
    try { new cc.ClusteredCache({ namespace: 'n'.repeat(250) }); } catch (error) { console.log(error.code, error instanceof TypeError); }
  `,
    { env: { CLUSTERED_CACHE_SCOPE: 'a scope' } },
  );
  t.like(outcome, { code: 0, stdout: 'ERR_CC_INVALID_OPTION true\n' });
});
