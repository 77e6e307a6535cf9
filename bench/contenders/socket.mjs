// This package where memory cannot be shared: workers send requests to the primary's threads over a private socket.

import { ClusteredCache } from '../../index.mjs';
import * as ours from '../support/ours.mjs';

export const title = 'clustered-cache, socket';
export const what = "asks the primary's threads";

export const host = () => ours.host(ClusteredCache);

export function connect(_, { space }) {
  process.env.CLUSTERED_CACHE_TRANSPORT = 'socket';
  return ours.connect(ClusteredCache, { space, transport: 'socket' });
}
