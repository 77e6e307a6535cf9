/** Parses and checks the command line and the environment. */

import { parseArgs } from 'node:util';
import { isClusteredCacheError } from '../errors.js';
import { snapshotInterval } from '../options/checks.js';
import { checkOptions, type CacheOptions, type PersistSettings } from '../options/instance.js';
import { LEVELS, type Level } from './log.js';

/** The settings of `serve`. */
export interface ServeSettings {
  endpoint: string;
  /** Namespace options that apply unless a client gives its own. */
  defaults: Pick<CacheOptions, 'max' | 'maxSize' | 'ttl'>;
  persist: PersistSettings | undefined;
  logLevel: Level;
  readyFd: number | undefined;
}

export type Command = { run: 'serve'; settings: ServeSettings } | { run: 'help' } | { run: 'version' };

/** The command line is invalid; the message says what is allowed. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Settings that can be given by an option or, for containers, by a variable. */
const OPTIONS = {
  endpoint: { value: '<path>', variable: 'CLUSTERED_CACHE_ENDPOINT', text: 'path of the socket, also for clients' },
  'max-entries': { value: '<n>', variable: 'CLUSTERED_CACHE_MAX_ENTRIES', text: 'most entries of a namespace' },
  'max-size': { value: '<size>', variable: 'CLUSTERED_CACHE_MAX_SIZE', text: 'most bytes of a namespace: 256mb, 1gb' },
  ttl: { value: '<ms>', variable: 'CLUSTERED_CACHE_TTL', text: 'time to live of entries' },
  snapshot: {
    value: '<path>',
    variable: 'CLUSTERED_CACHE_SNAPSHOT',
    text: 'file that keeps the content over a restart',
  },
  'snapshot-interval': {
    value: '<ms>',
    variable: 'CLUSTERED_CACHE_SNAPSHOT_INTERVAL',
    text: 'also write it this often, not only at the end',
  },
  'log-level': { value: '<level>', variable: 'CLUSTERED_CACHE_LOG_LEVEL', text: LEVELS.join(', ') },
  'ready-fd': { value: '<n>', variable: undefined, text: 'descriptor that gets a line when clients can connect' },
} as const;

type Name = keyof typeof OPTIONS;
type Given = Partial<Record<Name, { value: string; from: string }>>;

const UNITS: Record<string, number> = { '': 1, b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30, tb: 2 ** 40 };

export const USAGE = `Usage: clustered-cache serve --endpoint <path> [options]

Hosts a cache for processes that are given the same endpoint: new ClusteredCache({ endpoint }), or
CLUSTERED_CACHE_ENDPOINT in their environment. Clients may be started first; they wait.

Options, and variables that say the same:
${Object.entries(OPTIONS)
  .map(([name, { value, text, variable }]) => {
    const option = `  --${name} ${value}`.padEnd(29);
    return `${option} ${text}${variable === undefined ? '' : `\n${' '.repeat(30)}${variable}`}`;
  })
  .join('\n')}
  --help, --version

Limits hold for each namespace whose clients do not give their own. While another host has the endpoint, serve waits
for its end. SIGINT and SIGTERM end it; the snapshot is written then.
`;

/** Parses the arguments after the program's name. */
export function parseCommand(args: string[], env: NodeJS.ProcessEnv): Command {
  const { positionals, values } = split(args);
  if (values['help']) return { run: 'help' };
  if (values['version']) return { run: 'version' };
  const [command, ...more] = positionals;
  if (command === undefined) throw new UsageError('a command is missing; there is: serve');
  if (command !== 'serve') throw new UsageError(`there is no command ${command}; there is: serve`);
  if (more.length > 0) throw new UsageError(`serve takes no argument ${more[0]}; it takes options only`);
  return { run: 'serve', settings: settingsOf(gather(values, env)) };
}

/** The values from the command line, not checked yet. */
interface Words {
  positionals: string[];
  values: Record<string, unknown>;
}

function split(args: string[]): Words {
  const options = Object.fromEntries([
    ...Object.keys(OPTIONS).map((name) => [name, { type: 'string' }] as const),
    ['help', { type: 'boolean' }] as const,
    ['version', { type: 'boolean' }] as const,
  ]);
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (error) {
    const known = [...Object.keys(OPTIONS), 'help', 'version'].map((name) => `--${name}`).join(', ');
    // The sentences after the first describe positional arguments, which this program does not take.
    const [what] = (error as Error).message.split('. ');
    throw new UsageError(`${what}; allowed are ${known}`, { cause: error });
  }
}

function gather(values: Record<string, unknown>, env: NodeJS.ProcessEnv): Given {
  const given: Given = {};
  for (const name of Object.keys(OPTIONS) as Name[]) {
    const { variable } = OPTIONS[name];
    const value = values[name];
    if (typeof value === 'string') given[name] = { value, from: `--${name}` };
    else if (variable !== undefined && env[variable]) given[name] = { value: env[variable], from: variable };
  }
  return given;
}

function settingsOf(given: Given): ServeSettings {
  const { endpoint, snapshot } = given;
  if (!endpoint?.value) throw new UsageError('the endpoint is missing: give --endpoint or CLUSTERED_CACHE_ENDPOINT');
  const interval = numberOf(given['snapshot-interval']);
  if (interval !== undefined && !snapshot) {
    throw new UsageError(`${given['snapshot-interval']?.from} needs --snapshot: the file to write`);
  }
  const defaults = limitsOf(given);
  return {
    endpoint: endpoint.value,
    defaults,
    persist: snapshot && persistOf(snapshot, given['snapshot-interval'], interval),
    logLevel: levelOf(given['log-level']),
    readyFd: descriptorOf(given['ready-fd']),
  };
}

function limitsOf(given: Given): ServeSettings['defaults'] {
  const limits = {
    max: [given['max-entries'], numberOf(given['max-entries'])],
    maxSize: [given['max-size'], sizeOf(given['max-size'])],
    ttl: [given.ttl, numberOf(given.ttl)],
  } as const;
  const defaults: ServeSettings['defaults'] = {};
  for (const [name, [source, value]] of Object.entries(limits)) {
    if (source === undefined) continue;
    checked(source.from, source.value, () => checkOptions({ [name]: value }));
    defaults[name as keyof typeof limits] = value as number;
  }
  return defaults;
}

function persistOf(file: { value: string; from: string }, every: Given[Name], interval = 0): PersistSettings {
  if (every) checked(every.from, every.value, () => snapshotInterval('interval', interval));
  return checked(file.from, file.value, () => checkOptions({ persist: { path: file.value, interval } })).instance
    .persist as PersistSettings;
}

/** Runs one of the library's checks; its error names the option as it was given here. */
function checked<T>(from: string, value: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!isClusteredCacheError(error)) throw error;
    const allowed = error.message.slice(error.message.indexOf('allowed is'));
    throw new UsageError(`${from} is ${JSON.stringify(value)}; ${allowed}`, { cause: error });
  }
}

function numberOf(given: Given[Name]): number | undefined {
  if (given === undefined) return undefined;
  // Anything that is not a number becomes a value that every check refuses.
  return given.value.trim() === '' ? NaN : Number(given.value);
}

function sizeOf(given: Given[Name]): number | undefined {
  if (given === undefined) return undefined;
  const [, digits = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(given.value) ?? [];
  const factor = UNITS[unit.toLowerCase().replace('ib', 'b')];
  if (digits === '' || factor === undefined) {
    throw new UsageError(
      `${given.from} is ${JSON.stringify(given.value)}; allowed is a size such as 256mb, 1.5gb or 1048576`,
    );
  }
  return Math.floor(Number(digits) * factor);
}

function levelOf(given: Given[Name]): Level {
  if (given === undefined) return 'info';
  if (!(LEVELS as readonly string[]).includes(given.value)) {
    throw new UsageError(`${given.from} is ${JSON.stringify(given.value)}; allowed is one of ${LEVELS.join(', ')}`);
  }
  return given.value as Level;
}

function descriptorOf(given: Given[Name]): number | undefined {
  if (given === undefined) return undefined;
  const descriptor = numberOf(given);
  if (descriptor === undefined || !Number.isInteger(descriptor) || descriptor < 1 || descriptor > 2 ** 20) {
    throw new UsageError(
      `${given.from} is ${JSON.stringify(given.value)}; allowed is the number of an open descriptor`,
    );
  }
  return descriptor;
}
