// This package in an older state, built in the folder that `--before` names, to compare writes with.

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import * as ours from '../support/ours.mjs';

const { ClusteredCache } = await import(pathToFileURL(join(process.env.BENCH_BEFORE, 'index.mjs')).href);

export const title = 'clustered-cache, before';
export const what = 'an older build, on a socket';

export const host = () => ours.host(ClusteredCache);

export const connect = (_, { space }) => ours.connect(ClusteredCache, { space });
