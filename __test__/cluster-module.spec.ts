import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { directoryFor } from './helpers/directories.ts';
import { node, ROOT } from './helpers/scripts.ts';

const CLEAN = { code: 0, stderr: '' };

const MODULES = {
  cjs: {
    cluster: `const cluster = require('node:cluster');`,
    package: `const { ClusteredCache } = require(${JSON.stringify(`${ROOT}index.js`)});`,
  },
  mjs: {
    cluster: `const { default: cluster } = await import('node:cluster');`,
    package: `const { ClusteredCache } = await import(${JSON.stringify(pathToFileURL(`${ROOT}index.mjs`).href)});`,
  },
};

/** Whether Node has loaded its cluster module; in the package, `ts/discovery/cluster-module.ts` asks the same. */
const IS_LOADED = `process.moduleLoadList.includes('NativeModule cluster')`;

/** Forks a worker that reads a value stored by the primary. */
const MAIN = `
  if (cluster.isPrimary) {
    const cache = new ClusteredCache();
    await cache.set('key', 'from the primary');
    const worker = cluster.fork();
    await new Promise((resolve) => worker.once('exit', resolve));
    console.log(await cache.get('answer'));
    await cache.close();
  } else {
    const cache = await ClusteredCache.getInstance();
    await cache.set('answer', [cache.role, await cache.get('key')].join(': '));
    process.disconnect();
  }
`;

for (const [extension, load] of Object.entries(MODULES)) {
  const run = (t: Parameters<typeof directoryFor>[0], source: string) => {
    const file = path.join(directoryFor(t), `main.${extension}`);
    writeFileSync(file, extension === 'cjs' ? `(async () => {${source}})();` : source);
    return node([file]);
  };

  test(`${extension}: loading the package and using a cache does not load the cluster module`, async (t) => {
    const outcome = await run(
      t,
      `${load.package}
      const cache = new ClusteredCache();
      await cache.set('key', 1);
      console.log(await cache.get('key'), ${IS_LOADED});`,
    );
    t.like(outcome, { ...CLEAN, stdout: '1 false\n' });
  });

  test(`${extension}: workers find their host when the cluster module is loaded before the package`, async (t) => {
    t.like(await run(t, `${load.cluster} ${load.package} ${MAIN}`), {
      ...CLEAN,
      stdout: 'client: from the primary\n',
    });
  });

  test(`${extension}: workers find their host when the cluster module is loaded after the package`, async (t) => {
    t.like(await run(t, `${load.package} ${load.cluster} ${MAIN}`), {
      ...CLEAN,
      stdout: 'client: from the primary\n',
    });
  });

  test(`${extension}: workers find their host when the cluster module is loaded after the cache is in use`, async (t) => {
    const outcome = await run(
      t,
      `${load.package}
      const early = new ClusteredCache();
      await early.set('early', 1);
      ${load.cluster} ${MAIN}
      await early.close();`,
    );
    t.like(outcome, { ...CLEAN, stdout: 'client: from the primary\n' });
  });

  test(`${extension}: a primary that loads the package after it has forked calls its workers`, async (t) => {
    const outcome = await run(
      t,
      `${load.cluster}
      const forked = cluster.isPrimary ? cluster.fork() : undefined;
      if (forked) await new Promise((resolve) => forked.once('online', resolve));
      ${load.package}
      if (forked) {
        const cache = new ClusteredCache();
        await new Promise((resolve) => forked.once('exit', resolve));
        console.log(await cache.get('answer'));
        await cache.close();
      } else {
        const cache = await ClusteredCache.getInstance();
        await cache.set('answer', cache.role);
        process.disconnect();
      }`,
    );
    t.like(outcome, { ...CLEAN, stdout: 'client\n' });
  });
}
