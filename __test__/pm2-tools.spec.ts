import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { type Ancestor, isStartedThroughTools } from '../ts/discovery/ancestors.ts';
import { Pm2 } from './helpers/pm2.ts';
import { ROOT, cleanEnvironment } from './helpers/scripts.ts';
import { until } from './helpers/wait.ts';

const onUnix = process.platform === 'win32' ? test.skip : test;

/** Counts, says the number, and lives on until its input ends. */
const APP = `
  const { ClusteredCache } = require(${JSON.stringify(`${ROOT}index.js`)});
  const cache = new ClusteredCache({ namespace: 'x', timeout: 15000 });
  cache.incr('starts').then((n) => console.log('count ' + n + ' as ' + cache.role));
  process.stdin.on('end', () => process.exit()).resume();
`;

/** Starts a command as PM2 does, and returns what the application below it says. */
async function started(
  t: { teardown(end: () => void): void },
  env: Record<string, string>,
  command: string,
  ...args: string[]
): Promise<string> {
  const child = spawn(command, args, {
    env: { ...cleanEnvironment(), ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.stdin.end());
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  await until('a count', () => said.includes('\n'));
  return said.trim();
}

function daemon(t: { teardown(end: () => void): void }): Pm2 {
  const pm2 = new Pm2();
  t.teardown(() => pm2.remove());
  return pm2;
}

// The shell stays between, because it has something left to do.
const SHELL = ['sh', '-c', '"$0" -e "$1"; true', process.execPath, APP] as const;

onUnix('instances that PM2 starts through a shell script share one cache', async (t) => {
  const pm2 = daemon(t);
  t.is(await started(t, pm2.environment('web'), ...SHELL), 'count 1 as client');
  t.is(await started(t, pm2.environment('web'), ...SHELL), 'count 2 as client');
  t.is(await started(t, pm2.environment('web'), process.execPath, '-e', APP), 'count 3 as client');
});

onUnix('instances that PM2 starts through npm share one cache', async (t) => {
  const pm2 = daemon(t);
  writeFileSync(path.join(pm2.home, 'app.cjs'), APP);
  writeFileSync(
    path.join(pm2.home, 'package.json'),
    JSON.stringify({ name: 'app', private: true, scripts: { start: 'node app.cjs' } }),
  );
  const npm = ['npm', '--silent', '--prefix', pm2.home, 'start'] as const;
  t.is(await started(t, pm2.environment('web'), ...npm), 'count 1 as client');
  t.is(await started(t, pm2.environment('web'), ...npm), 'count 2 as client');
});

onUnix('a program that an instance starts through a shell has a cache of its own', async (t) => {
  const pm2 = daemon(t);
  const instance = `require('node:child_process').spawn('sh', ['-c', '"$0" -e "$1"; true', process.execPath, ${JSON.stringify(APP)}], { stdio: 'inherit' })`;
  t.is(await started(t, pm2.environment('web'), process.execPath, '-e', APP), 'count 1 as client');
  t.is(await started(t, pm2.environment('web'), process.execPath, '-e', instance), 'count 1 as host');
});

onUnix('two apps that set the same variable `name` do not share a cache, and instances of one do', async (t) => {
  const pm2 = daemon(t);
  const start = (file: string) => {
    const env = { ...pm2.environment('same'), pm_pid_path: path.join(pm2.home, 'pids', file) };
    return started(t, env, process.execPath, '-e', APP);
  };
  t.is(await start('web-0.pid'), 'count 1 as client');
  t.is(await start('api-1.pid'), 'count 1 as client');
  t.is(await start('web-12.pid'), 'count 2 as client');
});

test('tools between the daemon and the application are told from applications', (t) => {
  const DAEMON = 7;
  const through = (...commands: [program: string, command: string][]) => {
    const above = new Map<number, Ancestor>();
    commands.forEach(([program, command], index) => {
      const pid = index === 0 ? process.ppid : 1_000_000 + index;
      const parent = index === commands.length - 1 ? DAEMON : 1_000_000 + index + 1;
      above.set(pid, { program, command, parent });
    });
    return isStartedThroughTools(DAEMON, (pid) => {
      const ancestor = above.get(pid);
      if (!ancestor) throw new Error('no such process');
      return ancestor;
    });
  };
  const tools: [program: string, command: string][] = [
    ['bash', 'bash\0./start.sh\0'],
    ['doppler', 'doppler\0run\0--\0node\0app.js\0'],
    ['node', 'npm start'],
    ['node', 'node\0/usr/lib/node_modules/npm/bin/npm-cli.js\0start\0'],
    ['node', '/usr/bin/node\0--no-warnings\0/root/.yarn/releases/yarn-3.2.0.cjs\0start\0'],
    ['node', 'node /app/node_modules/.bin/tsx app.ts'],
    ['node', 'node\0/app/node_modules/tsx/dist/cli.mjs\0app.ts\0'],
    ['node', 'node\0/app/node_modules/cross-env/src/bin/cross-env.js\0node\0app.js\0'],
  ];
  for (const tool of tools) t.true(through(tool), tool[1]);
  t.true(through(['sh', 'sh -c node app.js'], ['node', 'npm start']));
  const applications: [program: string, command: string][] = [
    ['node', 'node\0/app/server.js\0'],
    ['node', 'node /app/npm/server.js'],
    ['node', 'node\0/app/node_modules/next/dist/bin/next\0start\0'],
    ['node', 'node'],
    ['bun', 'bun\0run\0app.ts\0'],
  ];
  for (const application of applications) {
    t.false(through(application), application[1]);
    t.false(through(['sh', 'sh -c node helper.js'], application), application[1]);
  }
  t.is(
    isStartedThroughTools(DAEMON, () => ({ program: 'sh', command: 'sh', parent: 1 })),
    undefined,
    'it does not descend from the daemon',
  );
});
