'use strict';

module.exports = { testMatch: ['**/*.test.cjs'], setupFiles: process.env.SETUP ? [process.env.SETUP] : [] };
