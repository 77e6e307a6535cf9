'use strict';

const assert = require('node:assert/strict');
const globals = require('@jest/globals');

globals.test('a file has one cache, however often it loads the package', async () => {
  const open = () => new (require('clustered-cache').ClusteredCache)({ namespace: 'reset' });
  const before = open();
  await before.set('key', 1);
  globals.jest.resetModules();
  assert.equal(await open().get('key'), 1);
  await before.destroy();
  assert.equal(await open().get('key'), undefined);
});
