'use strict';

// An ES module that a bundler wrote has no such name, and no require() that finds what comes next.
if (typeof __filename === 'undefined') {
  const message =
    'clustered-cache cannot be bundled, for its addon is native; leave it out and install it next to the output: ' +
    "external: ['clustered-cache'] in esbuild";
  throw Object.assign(new Error(message), { code: 'ERR_CC_NATIVE_MISSING' });
}

// Two copies of this package in one process (two versions in node_modules, say) would be two caches. Whichever is
// loaded first serves both, as long as they have the same contract.
const CONTRACT = Symbol.for('clustered-cache@0');
const api = (globalThis[CONTRACT] ??= require('./lib/index.js'));

exports.ClusteredCache = api.ClusteredCache;
exports.ClusteredCacheError = api.ClusteredCacheError;
exports.isClusteredCacheError = api.isClusteredCacheError;
exports.memoize = api.memoize;
exports.wrap = api.wrap;
