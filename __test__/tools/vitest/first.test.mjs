import { test } from 'vitest';
import * as cc from 'clustered-cache';
import { visit } from '../shared/visit.cjs';

test('a cache in a test file', () => visit(cc));
