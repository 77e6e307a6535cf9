/** Checks whether the host is still alive while fetches wait for a load. */

import { isLinkFailure } from './failures.js';

export class Probe {
  #isAsking = false;

  /** Asks with `ask`, one request at a time; calls `onSilence` when the host could not be reached. */
  start(ask: () => Promise<unknown>, onSilence: (error: Error) => void): void {
    if (this.#isAsking) return;
    this.#isAsking = true;
    ask()
      // A refusal is a sign of life too.
      .catch((error: Error) => void (isLinkFailure(error) && onSilence(error)))
      .finally(() => (this.#isAsking = false));
  }
}
