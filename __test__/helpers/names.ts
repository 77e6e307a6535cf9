import { randomBytes } from 'node:crypto';
import { DEADLINE } from './wait.ts';

/** A name that nothing else on this machine uses, so that tests run side by side. */
export const unique = (prefix = 'test'): string => `${prefix}-${process.pid}-${randomBytes(6).toString('hex')}`;

/** Options for a namespace of one's own, and calls that wait for a machine under load rather than fail. */
export const patient = (): { namespace: string; timeout: number } => ({ namespace: unique(), timeout: DEADLINE });
