import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Agent, Agents } from './agents.ts';
import { until } from './wait.ts';

/**
 * A process that looks like PM2's daemon to its instances: they are its children, have its directory and their app's
 * name in their environment, and find its process id in that directory.
 */
export class Pm2 {
  readonly home: string;
  #nextId = 0;

  constructor(daemon = process.pid) {
    // Short, because sockets are in it too.
    this.home = mkdtempSync(path.join(os.tmpdir(), 'cc-pm2-'));
    this.adopt(daemon);
  }

  /** Writes the daemon's process id to its directory. */
  adopt(daemon: number): void {
    writeFileSync(this.#pidFile, `${daemon}\n`);
  }

  /** Hides the daemon's files, as from a user who cannot read them. */
  hideDaemon(): void {
    rmSync(this.#pidFile);
  }

  get #pidFile(): string {
    return path.join(this.home, 'pm2.pid');
  }

  /** Environment of one more instance of the app. */
  environment(name: string, more: Record<string, string> = {}): Record<string, string> {
    const id = String(this.#nextId++);
    const own = { pm_id: id, NODE_APP_INSTANCE: id, name, namespace: 'default', exec_mode: 'fork_mode' };
    return { ...own, PM2_HOME: this.home, TMPDIR: this.home, ...more };
  }

  /** Starts one more instance of the app in fork mode. */
  start(agents: Agents, name: string, more: Record<string, string> = {}): Promise<Agent> {
    return agents.spawn('process.cjs', { env: this.environment(name, more) });
  }

  /** Waits until one of these hosts, and returns it (Linux only). */
  hostAmong(instances: readonly Agent[]): Promise<Agent> {
    return until('one instance to be the host', () => instances.find(({ alive, pid }) => alive && this.#isHost(pid)));
  }

  /** Removes the directory, with the sockets of all apps in it. */
  remove(): void {
    rmSync(this.home, { recursive: true, force: true });
  }

  /** Whether the process holds the lock of an election directory of this daemon. */
  #isHost(pid: number): boolean {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((descriptor) => {
        const target = readlinkSync(`/proc/${pid}/fd/${descriptor}`);
        if (!target.startsWith(this.home)) return false;
        return /lock:.*FLOCK/.test(readFileSync(`/proc/${pid}/fdinfo/${descriptor}`, 'utf8'));
      });
    } catch {
      // The process has ended, or one of its descriptors was closed.
      return false;
    }
  }
}
