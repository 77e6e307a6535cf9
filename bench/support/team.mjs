// One contender's processes: a cluster's primary and its workers, forked as an application would fork them.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { callsTo } from './calls.mjs';

const PRIMARY = fileURLToPath(new URL('primary.mjs', import.meta.url));

const TO_END = 5_000;

export class Team {
  #child;
  #call;

  /**
   * Starts a primary for the contender and `workers` workers.
   *
   * @param contender - its name
   * @param connected - whether the workers connect at once, or on the command `connect`
   */
  static async start({ contender, addresses = {}, workers, connected = true, execArgv = [] }) {
    const team = new Team(contender, execArgv);
    try {
      await team.primary('start', { contender, workers });
      if (connected) await team.workers('connect', { contender, addresses });
      return team;
    } catch (error) {
      await team.end();
      throw error;
    }
  }

  constructor(contender, execArgv) {
    const env = { ...process.env, NODE_ENV: 'production' };
    this.#child = fork(PRIMARY, { env, execArgv, serialization: 'advanced' });
    this.#call = callsTo(this.#child, contender);
  }

  /** Runs a command in the primary. */
  primary(command, argument) {
    return this.#call(command, argument);
  }

  /** Runs a command in the first `count` workers, or all, at the same time; resolves to their results. */
  workers(command, argument, count) {
    return this.#call('workers', { command, argument, count });
  }

  /** Runs a command in one worker. */
  async worker(index, command, argument) {
    const [result] = await this.#call('workers', { command, argument, only: index });
    return result;
  }

  /**
   * Runs different commands in several processes at the same time.
   *
   * @param parts - by worker, with gaps for idle ones
   * @param writing - what the primary itself writes meanwhile
   */
  together(parts, writing) {
    return this.#call('together', { parts, writing });
  }

  /** Lets the primary end by itself, because a host has files to remove; its workers end with it. */
  async end() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    const late = setTimeout(() => this.#child.kill('SIGKILL'), TO_END);
    if (this.#child.connected) this.#child.disconnect();
    await gone;
    clearTimeout(late);
  }
}
