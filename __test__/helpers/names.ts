import { randomBytes } from 'node:crypto';

/** A name that nothing else on this machine uses, so that tests run side by side. */
export const unique = (prefix = 'test'): string => `${prefix}-${process.pid}-${randomBytes(6).toString('hex')}`;
