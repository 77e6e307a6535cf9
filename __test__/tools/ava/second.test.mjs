import test from 'ava';
import * as cc from 'clustered-cache';
import { play } from '../shared/file.cjs';

test('a cache in a test file', async (t) => {
  await play(cc);
  t.pass();
});
