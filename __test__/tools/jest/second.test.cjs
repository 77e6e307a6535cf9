'use strict';

const { test } = require('@jest/globals');
const cc = require('clustered-cache');
const { visit } = require('../shared/visit.cjs');

test('a cache in a test file', () => visit(cc));
