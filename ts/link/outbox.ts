/** Requests on their way to native code: written here by operations, taken over in batches. */

import { codedError } from '../errors.js';
import type { NativeLink } from '../native.js';
import type { Operation } from '../operations/operation.js';
import { encodeOnce } from '../values/codec.js';
import { FrameWriter } from '../wire/frames.js';

/** Frames of this many bytes are taken over before the end of the turn, so that their memory can be reused. */
const LARGE = 256 * 1024;

export class Outbox {
  readonly #native: NativeLink;
  readonly #frames = new FrameWriter();
  #isWriting = false;

  constructor(native: NativeLink) {
    this.#native = native;
    native.defineExchange();
  }

  /**
   * Writes a request.
   *
   * @throws the operation's error for its arguments; then nothing was written. `ERR_CC_INVALID_ARGUMENT` where one of
   * its options has a getter that uses the cache.
   */
  write<T, A extends readonly unknown[]>(
    id: number,
    handle: number,
    operation: Operation<T, A>,
    first?: A[0],
    second?: A[1],
    third?: A[2],
  ): void {
    const value = operation.encodes ? encodeOnce(second) : second;
    const frames = this.#frames;
    this.#checkIdle();
    this.#isWriting = true;
    frames.begin(id, handle);
    try {
      const write = operation.write as (...args: unknown[]) => void;
      write(frames, first, value, third);
      frames.end(operation.number, operation.since);
    } catch (error) {
      frames.abort();
      throw error;
    } finally {
      this.#isWriting = false;
    }
  }

  /** Refuses application code that an operation runs while it writes, for example a getter of its options. */
  #checkIdle(): void {
    if (!this.#isWriting) return;
    throw codedError(
      'ERR_CC_INVALID_ARGUMENT',
      'the cache was used by a getter of the options of another call; read the option before the call',
    );
  }

  /** Whether there is so much that it should not wait for the end of the turn. */
  get isLarge(): boolean {
    return this.#frames.length > LARGE;
  }

  /** Hands all frames to native code. In the host the last request is answered at once. */
  submit(): unknown {
    const frames = this.#frames;
    this.#checkIdle();
    try {
      return this.#native.submit(frames.bytes, frames.length);
    } finally {
      frames.clear();
    }
  }

  /** Hands all frames to native code and has everything sent that was asked. */
  send(): void {
    const frames = this.#frames;
    this.#checkIdle();
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
