// This package with its defaults: the primary hosts the data in Rust, workers read it from the primary's memory.

import { ClusteredCache } from '../../index.mjs';
import * as ours from '../support/ours.mjs';

export const title = 'clustered-cache, shared';
export const what = "reads the primary's memory";
export const inProcess = true;

export const host = () => ours.host(ClusteredCache);

export const writer = () => ours.writer(ClusteredCache);

export const connect = (_, { space }) => ours.connect(ClusteredCache, { space, transport: 'shared' });
