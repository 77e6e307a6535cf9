import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Agent, Agents } from './agents.ts';
import { unique } from './names.ts';
import { until } from './wait.ts';

const command = createRequire(import.meta.url).resolve('pm2/bin/pm2');
const INSTANCE = fileURLToPath(new URL('../fixtures/instance.cjs', import.meta.url));

/** How long PM2 may take for one command. */
const PATIENCE = 60_000;

export interface AppOptions {
  name?: string;
  instances: number;
  /** The script, instead of the one that only takes commands. */
  script?: string;
  env?: Record<string, string>;
  /** More arguments of `pm2 start`. */
  flags?: string[];
  /** `fork` starts each instance as a process of its own. */
  mode?: 'cluster' | 'fork';
}

/** An application that PM2 runs. */
export class App {
  readonly #pm2: Pm2;
  readonly name: string;
  readonly #agents = new Set<Agent>();

  constructor(pm2: Pm2, name: string) {
    this.#pm2 = pm2;
    this.name = name;
  }

  /** An instance has said hello. @internal */
  add(agent: Agent): void {
    this.#agents.add(agent);
    void agent.gone.then(() => this.#agents.delete(agent));
  }

  /** The running instances, oldest first. */
  get instances(): Agent[] {
    return [...this.#agents];
  }

  /** Waits until this many instances are running, and none of `gone`. */
  async settled(count: number, gone: readonly Agent[] = []): Promise<Agent[]> {
    await until(
      `${count} instances of ${this.name}`,
      () => this.#agents.size === count && gone.every((agent) => !agent.alive),
      PATIENCE,
    );
    return this.instances;
  }

  reload = () => this.#pm2.run('reload', this.name);
  restart = () => this.#pm2.run('restart', this.name);
  stop = () => this.#pm2.run('stop', this.name);
  delete = () => this.#pm2.run('delete', this.name);
  scale = (count: number) => this.#pm2.run('scale', this.name, String(count));
}

/** A PM2 daemon of the test's own. It and all it runs end with {@link Pm2.close}. */
export class Pm2 {
  readonly home = mkdtempSync(path.join(os.tmpdir(), 'cc-pm2-'));
  readonly #agents: Agents;

  constructor(agents: Agents) {
    this.#agents = agents;
  }

  /** Process id of the daemon. */
  get daemon(): number {
    return Number(readFileSync(path.join(this.home, 'pm2.pid'), 'utf8'));
  }

  /** Starts an application and waits for its instances. */
  async start({ name = unique('app'), instances, script, env, flags, mode }: AppOptions): Promise<App> {
    const app = new App(this, name);
    const token = unique('instance');
    this.#agents.expectMany(token, (agent) => app.add(agent));
    await this.#run(['start', script ?? INSTANCE, '--name', name, ...this.#scale(mode, instances), ...(flags ?? [])], {
      CC_TEST_CONTROL: this.#agents.control,
      CC_TEST_TOKEN: token,
      ...env,
    });
    await app.settled(instances);
    return app;
  }

  /** Runs a command of PM2. */
  run = (...args: string[]) => this.#run(args, {});

  /** Ends the daemon with everything it runs. */
  async close(): Promise<void> {
    try {
      await this.run('kill');
    } finally {
      rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  #scale(mode: AppOptions['mode'], instances: number): string[] {
    // In fork mode the command line allows one instance; a script for PM2 to fork needs a configuration file.
    return mode === 'fork' ? [] : ['-i', String(instances)];
  }

  async #run(args: string[], env: Record<string, string>): Promise<string> {
    const { NODE_OPTIONS: _loaderOfTheSpecs, ...inherited } = process.env;
    const { stdout } = await promisify(execFile)(process.execPath, [command, ...args], {
      env: { ...inherited, PM2_HOME: this.home, PM2_DISABLE_VERSION_CHECK: 'true', ...env },
      timeout: PATIENCE,
      maxBuffer: 16 * 1024 * 1024,
    });
    return stdout;
  }
}
