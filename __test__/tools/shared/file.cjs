'use strict';

// Runs in each test file, once per run of the tool.

const { family } = require('./family.cjs');
const { visit } = require('./visit.cjs');

module.exports = { play: process.env.PLAY === 'family' ? family : visit };
