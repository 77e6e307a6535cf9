// This package with a near cache: each worker keeps the values it has decoded, and checks in the primary's memory
// whether they are still valid.

import { ClusteredCache } from '../../index.mjs';
import * as ours from '../support/ours.mjs';

export const title = 'clustered-cache, near';
export const what = 'keeps values, always coherent';
export const inProcess = true;

export const host = () => ours.host(ClusteredCache);

export const writer = () => ours.writer(ClusteredCache);

export const connect = (_, { space, kept }) =>
  ours.connect(ClusteredCache, { space, transport: 'shared', near: kept ? { max: kept } : true });
