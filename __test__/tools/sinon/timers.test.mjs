import { test } from 'node:test';
import * as cc from 'clustered-cache';
import sinon from 'sinon';
import fakeTimers from '../shared/fake-timers.cjs';

test('a cache under fake timers', () => {
  let clock;
  return fakeTimers.check(cc, {
    // All that it knows, the tick of the process among it.
    use: (now) => (clock = sinon.useFakeTimers({ now })),
    restore: () => clock.restore(),
  });
});
