'use strict';

const { jest, test } = require('@jest/globals');
const cc = require('clustered-cache');
const { check } = require('../shared/fake-timers.cjs');

test('a cache under fake timers', () =>
  check(cc, { use: (now) => jest.useFakeTimers({ now }), restore: () => jest.useRealTimers() }));
