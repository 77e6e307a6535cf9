import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { ROOT, script } from './helpers/scripts.ts';

let copy: string;

test.before(() => {
  copy = path.join(realpathSync(mkdtempSync(path.join(os.tmpdir(), 'cc-copy-'))), 'clustered-cache');
  mkdirSync(copy);
  const files = readdirSync(ROOT).filter((name) => /^(index\.|binding\.|package\.json|lib$)|\.node$/.test(name));
  for (const name of files) cpSync(path.join(ROOT, name), path.join(copy, name), { recursive: true });
});
test.after.always(() => rmSync(path.dirname(copy), { recursive: true, force: true }));

const CLEAN = { code: 0, signal: null, stderr: '' };

test('two copies of the package in one process share one cache', async (t) => {
  t.true(existsSync(path.join(copy, 'index.js')));
  const outcome = await script(`
    const other = require(${JSON.stringify(path.join(copy, 'index.js'))});
    const [first, second] = [new cc.ClusteredCache(), new other.ClusteredCache()];
    (async () => {
      await first.set('key', { from: 'first' });
      console.log(JSON.stringify(await second.get('key')));
      const loads = [];
      await Promise.all([first.fetch('load', () => loads.push('first')), second.fetch('load', () => loads.push('second'))]);
      console.log(loads.length);
      const error = await second.get(null).catch((error) => error);
      console.log(cc.isClusteredCacheError(error), other.isClusteredCacheError(error), error instanceof TypeError);
    })();
  `);
  t.like(outcome, { ...CLEAN, stdout: '{"from":"first"}\n1\ntrue true true\n' });
});

test('a package that is loaded again, as by test runners, shares the cache', async (t) => {
  const outcome = await script(`
    const first = new cc.ClusteredCache();
    for (const file of Object.keys(require.cache)) delete require.cache[file];
    const again = require(${JSON.stringify(`${ROOT}index.js`)});
    const second = new again.ClusteredCache();
    first.set('key', 1).then(() => second.get('key')).then((value) => console.log(again !== cc, value));
  `);
  t.like(outcome, { ...CLEAN, stdout: 'true 1\n' });
});

test('two copies are clients of the same host', async (t) => {
  const outcome = await script(`
    const { fork } = require('node:child_process');
    const other = require(${JSON.stringify(path.join(copy, 'index.js'))});
    (async () => {
      const { endpoint, close } = await cc.ClusteredCache.listen();
      const [first, second] = [new cc.ClusteredCache(), new other.ClusteredCache()];
      await first.incr('n');
      console.log(await second.incr('n'), first.role, second.role);
      await close();
    })();
  `);
  t.like(outcome, { ...CLEAN, stdout: '2 host host\n' });
});
