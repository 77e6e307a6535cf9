/**
 * One listener for each signal, however many calls it can abort: Node warns of a leak when a signal has more than ten.
 */

/** The calls that a signal can abort. */
interface Waiting {
  readonly actions: Set<() => void>;
  readonly listener: () => void;
}

const waitingFor = new WeakMap<AbortSignal, Waiting>();

/** Calls `act` when `signal` aborts. Returns a function that prevents it. */
export function whenAborted(signal: AbortSignal, act: () => void): () => void {
  const waiting = waitingFor.get(signal) ?? listen(signal);
  waiting.actions.add(act);
  return () => {
    waiting.actions.delete(act);
    if (waiting.actions.size > 0 || waitingFor.get(signal) !== waiting) return;
    waitingFor.delete(signal);
    signal.removeEventListener('abort', waiting.listener);
  };
}

function listen(signal: AbortSignal): Waiting {
  const actions = new Set<() => void>();
  const listener = () => {
    waitingFor.delete(signal);
    for (const act of actions) act();
  };
  const waiting = { actions, listener };
  waitingFor.set(signal, waiting);
  signal.addEventListener('abort', listener, { once: true });
  return waiting;
}
