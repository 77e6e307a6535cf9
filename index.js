'use strict';

// Two copies of this package in one process (two versions in node_modules, say) would be two caches. Whichever is
// loaded first serves both, as long as they have the same contract.
const CONTRACT = Symbol.for('clustered-cache@0');
const api = (globalThis[CONTRACT] ??= require('./lib/index.js'));

exports.ClusteredCache = api.ClusteredCache;
exports.ClusteredCacheError = api.ClusteredCacheError;
exports.isClusteredCacheError = api.isClusteredCacheError;
exports.memoize = api.memoize;
exports.wrap = api.wrap;
