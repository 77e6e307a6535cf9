'use strict';

// A cache that was asked to listen: `traces` sees it, or its silence elsewhere would say nothing.

const assert = require('node:assert/strict');
const { ClusteredCache } = require('clustered-cache');
const { traces } = require('./visit.cjs');

async function listen() {
  const { close } = await ClusteredCache.listen();
  assert.notDeepEqual(traces(), []);
  console.log('seen');
  await close();
}

void listen();
