import test from 'ava';
import { LinkState, type State } from '../ts/link/state.ts';

const GRACE = 1_000;
const REASON = new Error('the reason');
const OTHER = new Error('another reason');

/** A state machine with its own clock, which begins at 0. */
function machine() {
  const clock = { now: 0 };
  return { clock, state: new LinkState(GRACE, () => clock.now) };
}

type Transition = (state: LinkState) => boolean;

const connected: Transition = (state) => state.connected();
const lost: Transition = (state) => state.lost();
const refused: Transition = (state) => state.refused(REASON);
const overdue: Transition = (state) => state.overdue(OTHER);
const answered: Transition = (state) => state.answered();

/** How to reach each state from the beginning. */
const STATES: Record<string, Transition[]> = {
  'away at first': [],
  'away at first, degraded': [lost],
  connected: [connected],
  'connected, degraded': [connected, overdue],
  'away again': [connected, lost, answered],
  'away again, degraded': [connected, lost],
  unreachable: [refused],
};

const away = (graceEnd: number, hasConnected: boolean, isDegraded: boolean): State => ({
  is: 'away',
  isDegraded,
  hasConnected,
  graceEnd,
});
const here = (isDegraded: boolean): State => ({ is: 'connected', isDegraded });
const unreachable = (reason: Error, graceEnd: number, hasConnected: boolean, isDegraded = true): State => ({
  is: 'unreachable',
  isDegraded,
  reason,
  hasConnected,
  graceEnd,
});

/** State, transition, its time, the state after it, whether listeners are to be told. */
const TABLE: [from: string, transition: Transition, at: number, to: State, isNews: boolean][] = [
  ['away at first', connected, 0, here(false), false],
  ['away at first, degraded', connected, 0, here(false), true],
  ['connected', connected, 0, here(false), false],
  ['connected, degraded', connected, 0, here(false), true],
  ['away again', connected, 0, here(false), false],
  ['away again, degraded', connected, 0, here(false), true],
  ['unreachable', connected, 0, here(false), true],

  // Only the loss of a connection starts another grace time.
  ['away at first', lost, 500, away(1_000, false, true), true],
  ['away at first, degraded', lost, 500, away(1_000, false, true), false],
  ['connected', lost, 500, away(1_500, true, true), true],
  ['connected, degraded', lost, 500, away(1_500, true, true), false],
  ['away again', lost, 500, away(1_000, true, true), true],
  ['away again, degraded', lost, 500, away(1_000, true, true), false],
  ['unreachable', lost, 500, unreachable(REASON, 1_000, false), false],

  ['away at first', refused, 500, unreachable(REASON, 1_000, false), true],
  ['away at first, degraded', refused, 500, unreachable(REASON, 1_000, false), false],
  ['connected', refused, 500, unreachable(REASON, 1_500, true), true],
  ['connected, degraded', refused, 500, unreachable(REASON, 1_500, true), false],
  ['away again', refused, 500, unreachable(REASON, 1_000, true), true],
  ['away again, degraded', refused, 500, unreachable(REASON, 1_000, true), false],
  ['unreachable', refused, 500, unreachable(REASON, 1_000, false), false],

  // Within the grace time, other requests still wait.
  ['away at first', overdue, 999, away(1_000, false, true), true],
  ['away at first, degraded', overdue, 999, away(1_000, false, true), false],
  ['connected', overdue, 999, here(true), true],
  ['connected, degraded', overdue, 999, here(true), false],
  ['away again', overdue, 999, away(1_000, true, true), true],
  ['away again, degraded', overdue, 999, away(1_000, true, true), false],
  ['unreachable', overdue, 999, unreachable(REASON, 1_000, false), false],
  // After it, none waits.
  ['away at first', overdue, 1_000, unreachable(OTHER, 1_000, false), true],
  ['away at first, degraded', overdue, 1_000, unreachable(OTHER, 1_000, false), false],
  ['connected', overdue, 1_000, here(true), true],
  ['away again', overdue, 1_000, unreachable(OTHER, 1_000, true), true],
  ['away again, degraded', overdue, 1_000, unreachable(OTHER, 1_000, true), false],
  ['unreachable', overdue, 1_000, unreachable(OTHER, 1_000, false), false],

  ['away at first', answered, 0, away(1_000, false, false), false],
  ['away at first, degraded', answered, 0, away(1_000, false, false), true],
  ['connected', answered, 0, here(false), false],
  ['connected, degraded', answered, 0, here(false), true],
  ['away again', answered, 0, away(1_000, true, false), false],
  ['away again, degraded', answered, 0, away(1_000, true, false), true],
  ['unreachable', answered, 0, unreachable(REASON, 1_000, false, false), true],
];

for (const [from, transition, at, to, isNews] of TABLE) {
  const name = Object.entries({ connected, lost, refused, overdue, answered }).find(
    ([, one]) => one === transition,
  )![0];
  test(`${from}: ${name} at ${at} ms`, (t) => {
    const { clock, state } = machine();
    for (const step of STATES[from]!) step(state);
    clock.now = at;
    t.is(transition(state), isNews);
    t.deepEqual(state.current, to);
  });
}

test('each state reports whether it is connected or degraded, and why requests fail', (t) => {
  const seen = Object.entries(STATES).map(([name, steps]) => {
    const { state } = machine();
    for (const step of steps) step(state);
    return [name, state.isConnected, state.hasConnected, state.isDegraded, state.reason];
  });
  t.deepEqual(seen, [
    ['away at first', false, false, false, undefined],
    ['away at first, degraded', false, false, true, undefined],
    ['connected', true, true, false, undefined],
    ['connected, degraded', true, true, true, undefined],
    ['away again', false, true, false, undefined],
    ['away again, degraded', false, true, true, undefined],
    ['unreachable', false, false, true, REASON],
  ]);
});
