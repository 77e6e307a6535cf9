'use strict';

// CommonJS entrance. One name per line, so that Node finds each when index.mjs imports this file.
const lib = require('./lib/index.js');

module.exports.ClusteredCache = lib.ClusteredCache;
module.exports.ClusteredCacheError = lib.ClusteredCacheError;
module.exports.isClusteredCacheError = lib.isClusteredCacheError;
module.exports.memoize = lib.memoize;
module.exports.wrap = lib.wrap;
