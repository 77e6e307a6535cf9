import { randomBytes } from 'node:crypto';
import { DEADLINE } from './wait.ts';

/** A name that is unique on this machine, so that tests can run side by side. */
export const unique = (prefix = 'test'): string => `${prefix}-${process.pid}-${randomBytes(6).toString('hex')}`;

/** Options for a unique namespace, and a long timeout so that calls do not fail on a busy machine. */
export const patient = (): { namespace: string; timeout: number } => ({ namespace: unique(), timeout: DEADLINE });
