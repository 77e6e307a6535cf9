/** Requests on their way to native code: written here by operations, taken over in batches. */

import type { NativeLink } from '../native.js';
import type { Operation } from '../operations/operation.js';
import { encodeOnce } from '../values/codec.js';
import { FrameWriter } from '../wire/frames.js';

/** Frames of this many bytes are taken over before the end of the turn, so that their memory can be reused. */
const LARGE = 256 * 1024;

export class Outbox {
  readonly #native: NativeLink;
  readonly #frames = new FrameWriter();

  constructor(native: NativeLink) {
    this.#native = native;
    native.defineExchange();
  }

  /**
   * Writes a request. What may run application code, a getter for example, runs before the frame is begun, because that
   * code may use the cache.
   *
   * @throws the operation's error for its arguments; then nothing was written.
   */
  write<T, A extends readonly unknown[]>(
    id: number,
    handle: number,
    operation: Operation<T, A>,
    first?: unknown,
    second?: unknown,
    third?: unknown,
    fourth?: unknown,
  ): void {
    const { valueAt, optionsAt } = operation;
    const checkOptions = operation.checkOptions as (given: unknown) => unknown;
    // Assigned one by one: an array of the arguments would cost as much as writing some of the requests.
    if (optionsAt === 0) first = checkOptions(first);
    else if (optionsAt === 1) second = checkOptions(second);
    else if (optionsAt === 2) third = checkOptions(third);
    else if (optionsAt === 3) fourth = checkOptions(fourth);
    // After the options, whose getters may encode other values: this one is good until the next is encoded.
    if (valueAt === 1) second = encodeOnce(second);
    else if (valueAt === 2) third = encodeOnce(third);
    const frames = this.#frames;
    frames.begin(id, handle);
    try {
      const write = operation.write as (...args: unknown[]) => void;
      write(frames, first, second, third, fourth);
      frames.end(operation.number, operation.since);
    } catch (error) {
      frames.abort();
      throw error;
    }
  }

  /** Whether there is so much that it should not wait for the end of the turn. */
  get isLarge(): boolean {
    return this.#frames.length > LARGE;
  }

  /** Hands all frames to native code. In the host the last request is answered at once. */
  submit(): unknown {
    const frames = this.#frames;
    try {
      return this.#native.submit(frames.bytes, frames.length);
    } finally {
      frames.clear();
    }
  }

  /** Hands all frames to native code and has everything sent that was asked. */
  send(): void {
    const frames = this.#frames;
    try {
      this.#native.send(frames.bytes, frames.length);
    } finally {
      frames.clear();
    }
  }

  /** Hands the frames to native code, if there are any. */
  takeOver(): void {
    if (this.#frames.length > 0) this.submit();
  }

  /** Discards all frames. */
  discard(): void {
    this.#frames.clear();
  }
}
