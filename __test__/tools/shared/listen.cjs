'use strict';

// A cache that listens: `traces` must see it, or its empty result elsewhere would prove nothing.

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
