/** Operations on the host itself. */

import { OperationNumber } from '../native.js';
import { asFlag } from './answers.js';
import { REJECT, operation } from './operation.js';

/** The handle of the host. */
export const HOST = 0;

/** Is the host alive? */
export const PING_HOST = operation({
  number: OperationNumber.PingHost,
  read: asFlag,
  withoutHost: REJECT,
});
