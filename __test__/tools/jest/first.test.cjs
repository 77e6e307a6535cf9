'use strict';

const { test } = require('@jest/globals');
const cc = require('clustered-cache');
const { play } = require('../shared/file.cjs');

test('a cache in a test file', () => play(cc));
