'use strict';

const globals = require('@jest/globals');
const cc = require('clustered-cache');
const { check } = require('../shared/fake-timers.cjs');

globals.test('a cache under fake timers', () =>
  check(cc, {
    use: (now) => globals.jest.useFakeTimers({ now }),
    restore: () => globals.jest.useRealTimers(),
  }),
);
