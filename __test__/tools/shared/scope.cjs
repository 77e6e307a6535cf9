'use strict';

// As docs/tools.md has it: each test file has namespaces of its own.
process.env.CLUSTERED_CACHE_SCOPE = require('node:crypto').randomUUID();
