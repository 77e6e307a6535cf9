/** Sweeps at intervals, for what is not read again and would otherwise stay. */

import { clearTimeout, setTimeout } from '../time.js';

/** Milliseconds between two sweeps. */
const INTERVAL = 5_000;

/** What is swept. */
export interface Swept {
  /** Sweeps a part. Returns whether anything is left to sweep later. */
  sweep(): boolean;
}

export class Sweeping {
  #timer: NodeJS.Timeout | undefined;

  /** Begins to sweep, unless it does already. It keeps neither the process nor `swept` alive. */
  begin(swept: Swept): void {
    this.#timer ??= this.#next(new WeakRef(swept));
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #next(swept: WeakRef<Swept>): NodeJS.Timeout {
    return setTimeout(() => {
      this.#timer = swept.deref()?.sweep() === true ? this.#next(swept) : undefined;
    }, INTERVAL).unref();
  }
}
