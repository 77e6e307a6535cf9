/**
 * How the clients of this run read the data: from the host's memory, or over the socket. It is set by
 * CLUSTERED_CACHE_TRANSPORT, which all processes of a test inherit. `npm test` runs the suite in both ways.
 */
export const TRANSPORT: 'shared' | 'socket' =
  process.env.CLUSTERED_CACHE_TRANSPORT === 'socket' || process.platform === 'win32' ? 'socket' : 'shared';

/** Clients read the host's memory. */
export const SHARED = TRANSPORT === 'shared';

/** Environment of a process that reads memory where it can, and of one that never does. */
export const ANYHOW = { CLUSTERED_CACHE_TRANSPORT: '' };
export const BY_SOCKET = { CLUSTERED_CACHE_TRANSPORT: 'socket' };
