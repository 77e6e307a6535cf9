'use strict';

module.exports = { files: ['*.test.mjs'], require: process.env.SETUP ? [process.env.SETUP] : [] };
