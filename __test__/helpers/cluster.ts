import type { Agent, Agents, Fixture } from './agents.ts';

export interface ClusterOptions {
  /** Workers to start with. */
  workers?: number;
  /** How Node passes messages between primary and workers. */
  serialization?: 'json' | 'advanced';
  /** Does the primary load the package before its first worker is forked, or only when told to? */
  load?: 'before' | 'after';
  /** The workers' module system. */
  worker?: 'worker.cjs' | 'worker.mjs';
  env?: Record<string, string>;
}

/** A real Node cluster: a primary that is a process of its own, and its workers. */
export class Cluster {
  readonly primary: Agent;
  readonly workers: Agent[] = [];
  readonly #agents: Agents;

  private constructor(agents: Agents, primary: Agent) {
    this.#agents = agents;
    this.primary = primary;
  }

  static async start(agents: Agents, options: ClusterOptions = {}): Promise<Cluster> {
    const { workers = 2 } = options;
    const cluster = new Cluster(agents, await agents.spawn('primary.cjs', { env: Cluster.environment(options) }));
    await Promise.all(Array.from({ length: workers }, () => cluster.fork()));
    return cluster;
  }

  /** The environment that gives a primary these options. */
  static environment({ serialization = 'json', load = 'before', worker = 'worker.cjs', env = {} }: ClusterOptions) {
    return { CC_TEST_LOAD: load, CC_TEST_SERIALIZATION: serialization, CC_TEST_WORKER: worker, ...env };
  }

  /** The cluster of a primary that was started elsewhere. */
  static async of(agents: Agents, primary: Agent, workers: number): Promise<Cluster> {
    const cluster = new Cluster(agents, primary);
    await Promise.all(Array.from({ length: workers }, () => cluster.fork()));
    return cluster;
  }

  /** Forks one more worker, with these additions to its environment. */
  async fork(env: Record<string, string> = {}): Promise<Agent> {
    const { token, agent } = this.#agents.expect();
    await this.primary.run((scope, ...args) => scope.fork(...args), token, env);
    const worker = await agent;
    this.workers.push(worker);
    return worker;
  }

  /** A helper process that `parent` forks with child_process. */
  async forkHelper(parent: Agent, file: Fixture = 'process.cjs', env: Record<string, string> = {}): Promise<Agent> {
    const { token, agent } = this.#agents.expect();
    await parent.run((scope, ...args) => scope.forkHelper(...args), token, file, env);
    return agent;
  }

  /** The worker of this number. */
  worker(index: number): Agent {
    const worker = this.workers[index];
    if (!worker) throw new RangeError(`the cluster has no worker ${index}`);
    return worker;
  }
}
