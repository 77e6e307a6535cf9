/** The log of a command: lines on the standard error output. */

import process from 'node:process';

export const LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;
export type Level = (typeof LEVELS)[number];

/** Writes messages that are at least as severe as the chosen level. */
export class Log {
  readonly #level: number;

  constructor(level: Level) {
    this.#level = LEVELS.indexOf(level);
  }

  error(text: string): void {
    this.#write('error', text);
  }

  warn(text: string): void {
    this.#write('warn', text);
  }

  info(text: string): void {
    this.#write('info', text);
  }

  debug(text: string): void {
    this.#write('debug', text);
  }

  #write(level: Level, text: string): void {
    if (LEVELS.indexOf(level) > this.#level) return;
    process.stderr.write(`${new Date().toISOString()} ${level} clustered-cache: ${text}\n`);
  }
}
