import test from 'node:test';
import * as cc from 'clustered-cache';
import { play } from '../shared/file.cjs';

test('a cache in a test file', () => play(cc));
