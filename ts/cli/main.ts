/** The program `clustered-cache`. */

import process from 'node:process';
import { isClusteredCacheError } from '../errors.js';
import { parseCommand, USAGE, UsageError, type Command } from './arguments.js';

const FAILED = 1;
const MISUSED = 2;

/** Runs the program, as this version, with the arguments after its name. */
export function main(args: string[], version: string): void {
  const command = understand(args);
  switch (command?.run) {
    case 'help':
      process.stdout.write(USAGE);
      return;
    case 'version':
      process.stdout.write(`${version}\n`);
      return;
    case 'serve':
      // Loaded only now, so that a missing addon makes this command fail, with its exit code.
      import('./serve.js').then(({ serve }) => serve(command.settings)).catch(fail);
  }
}

function understand(args: string[]): Command | undefined {
  try {
    return parseCommand(args, process.env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`clustered-cache: ${error.message}\nTry: clustered-cache --help\n`);
    process.exitCode = MISUSED;
    return undefined;
  }
}

function fail(error: unknown): void {
  const text = isClusteredCacheError(error)
    ? `${error.message} [${error.code}]`
    : String((error as Error).stack ?? error);
  process.stderr.write(`clustered-cache: ${text}\n`);
  process.exit(FAILED);
}
