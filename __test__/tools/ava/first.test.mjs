import test from 'ava';
import * as cc from 'clustered-cache';
import { visit } from '../shared/visit.cjs';

test('a cache in a test file', async (t) => {
  await visit(cc);
  t.pass();
});
