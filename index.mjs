// ESM entrance, over the CommonJS one: a process that mixes both module systems has one cache, not two.
export { ClusteredCache, ClusteredCacheError, isClusteredCacheError, memoize, wrap } from './index.js';
