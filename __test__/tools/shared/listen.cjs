'use strict';

// A cache that was asked to listen: `traces` sees it, or its silence elsewhere would say nothing.

const assert = require('node:assert/strict');
const { ClusteredCache } = require('clustered-cache');
const { traces } = require('./visit.cjs');

void ClusteredCache.listen().then(async ({ close }) => {
  assert.notDeepEqual(traces(), []);
  console.log('seen');
  await close();
});
