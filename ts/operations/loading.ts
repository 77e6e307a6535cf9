/** Operations that load a key once for all processes. `fetch.ts` combines them. */

import { Form, OperationNumber } from '../native.js';
import type { KeepOptions } from '../options/calls.js';
import { decode } from '../values/codec.js';
import type { Encoded } from '../values/plain.js';
import { unpackError } from '../values/remote-error.js';
import { Undecodable, readable } from '../values/undecodable.js';
import { KEEP, micros } from '../wire/fields.js';
import { asFlag, asValue, type Read } from './answers.js';
import { KEY } from './entries.js';
import { REJECT, argument, operation } from './operation.js';

/**
 * The result of a fetch. `thrown` is the error of another caller's fetcher, as opposed to a failure of the request;
 * `undecodable` is why the value cannot be decoded.
 */
export type Found = { lease: number } | { value: unknown } | { thrown: unknown } | { undecodable: unknown };

const asFound: Read<Found> = (form, answer, ...rest) => {
  if (form === Form.Lease) return { lease: rest[0][rest[1]] as number };
  if (form === Form.Failed) return { thrown: asThrown(answer as [Form, unknown]) };
  const value = readable(asValue, form, answer, ...rest);
  return value instanceof Undecodable ? { undecodable: value.error } : { value };
};

function asThrown([form, packed]: [Form, unknown]): unknown {
  try {
    return unpackError(decode(form, packed));
  } catch (error) {
    return error;
  }
}

/** It may take a lease, but a lost lease expires by itself, so its outcome is never unknown. */
export const FETCH = operation({
  number: OperationNumber.Fetch,
  partOf: 'fetch',
  takes: [KEY, argument<boolean>(), argument<number>()],
  read: asFound,
  withoutHost: REJECT,
  write(frame, key, force, lease) {
    frame.key(key);
    frame.flag(force);
    frame.integer(micros(lease));
  },
});

/** How a load ended. */
export type Loaded =
  | { end: 'value'; value: Encoded; keep: KeepOptions }
  | { end: 'nothing' }
  | { end: 'failed'; error: Encoded }
  | { end: 'abandoned' };

/** The numbers of the outcomes on the wire. */
const ENDS = { value: 0, nothing: 1, failed: 2, abandoned: 3 } as const;

export const COMPLETE = operation({
  number: OperationNumber.Complete,
  partOf: 'fetch',
  takes: [argument<number>(), argument<Loaded>()],
  read: asFlag,
  withoutHost: REJECT,
  write(frame, token, loaded) {
    frame.integer(token);
    frame.byte(ENDS[loaded.end]);
    if (loaded.end === 'value') {
      frame.value(loaded.value);
      KEEP.writeNested(frame, loaded.keep);
    } else if (loaded.end === 'failed') {
      frame.value(loaded.error);
    }
  },
});

export const CANCEL_WAIT = operation({
  number: OperationNumber.CancelWait,
  partOf: 'fetch',
  takes: [argument<number>()],
  read: asFlag,
  withoutHost: false,
  write: (frame, request) => frame.integer(request),
});
