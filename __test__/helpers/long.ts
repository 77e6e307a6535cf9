/** Set by `npm run test:long`: tests that have a long form run it. */
export const LONG = process.env.CLUSTERED_CACHE_TEST_LONG === '1';
