'use strict';

module.exports = { testMatch: ['**/timers.fake.cjs'] };
