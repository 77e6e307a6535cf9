import { test, vi } from 'vitest';
import * as cc from 'clustered-cache';
import { check } from '../shared/fake-timers.cjs';

const toFake = ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'];

test('a cache under fake timers', () =>
  check(cc, {
    use: (now) => vi.useFakeTimers({ now, toFake: [...toFake, 'performance', 'queueMicrotask', 'hrtime'] }),
    restore: () => vi.useRealTimers(),
  }));
