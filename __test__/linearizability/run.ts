import { fileURLToPath } from 'node:url';
import type { Agent, Agents } from '../helpers/agents.ts';
import { Cluster } from '../helpers/cluster.ts';
import { patient } from '../helpers/names.ts';
import { Checker, type Figures } from './checker.ts';
import type { Operation } from './operation.ts';
import { COUNTERS, KEYS, KINDS, operationsOf, Planner, type Burst } from './plan.ts';
import type { Violation } from './violation.ts';
import { MEMBERS, type Members, type Way } from './ways.ts';

const MEMBER = fileURLToPath(new URL('worker.cjs', import.meta.url));
/** Operations of each member between two moments when all members rest. */
const BURST = 250;

export interface RunOptions {
  operations: number;
  seed: number;
  members?: Members;
}

export interface Report {
  /** As the members counted them; the checker counts `clear` once for each key. */
  operations: number;
  bursts: number;
  seconds: number;
  figures: Figures;
  /** Operations that rejected, and answers that are no value which was ever written. */
  problems: string[];
  violation: Violation | undefined;
}

/** One process of a run. */
class Member {
  readonly ways: readonly Way[];
  readonly #agent: Agent;
  readonly #names: readonly string[];

  private constructor(agent: Agent, name: string, ways: readonly Way[]) {
    this.#agent = agent;
    this.ways = ways;
    this.#names = ways.map((way) => `${name} ${way.name}`);
  }

  static async join(agent: Agent, name: string, ways: readonly Way[], options: object): Promise<Member> {
    const names = { kinds: KINDS, keys: KEYS, counters: COUNTERS };
    await agent.run(
      async ({ cache, require, state }, file, ...told) => {
        const { Member } = require(file);
        state.member = new Member(cache, ...told);
        await state.member.ready();
      },
      MEMBER,
      options,
      ways,
      names,
    );
    return new Member(agent, name, ways);
  }

  async carryOut({ plan, flight }: Burst): Promise<{ operations: Operation[]; problems: string[] }> {
    const { records, problems } = await this.#agent.run(
      ({ state }, plan, flight): Promise<{ records: Float64Array; problems: string[] }> =>
        state.member.burst(plan, flight),
      plan,
      flight,
    );
    return { operations: operationsOf(plan, records, this.#names), problems };
  }
}

async function gather(agents: Agents, { host, workers }: Members): Promise<Member[]> {
  const cluster = await Cluster.start(agents, { workers: 0 });
  const options = patient();
  return Promise.all([
    Member.join(cluster.primary, 'host', host, options),
    ...workers.map(async (ways, index) => {
      const worker = await cluster.fork(Object.assign({}, ...ways.map((way) => way.env)));
      return Member.join(worker, `worker ${index}`, ways, options);
    }),
  ]);
}

/**
 * Random operations of a cluster's processes on a few keys, checked as they come. After each burst all processes rest
 * until the next one, so that no answer is kept longer than a burst; the first failure ends the run.
 */
export async function run(agents: Agents, { operations, seed, members = MEMBERS }: RunOptions): Promise<Report> {
  const everybody = await gather(agents, members);
  const planner = new Planner(seed);
  const checker = new Checker();
  const start = performance.now();
  const report = { operations: 0, bursts: 0, problems: [] as string[], violation: undefined as Violation | undefined };
  while (report.operations < operations && report.problems.length === 0 && !report.violation) {
    const share = Math.min(BURST, Math.ceil((operations - report.operations) / everybody.length));
    const bursts = everybody.map(({ ways }) => planner.burst(share, ways.length));
    const results = await Promise.all(everybody.map((member, index) => member.carryOut(bursts[index]!)));
    report.problems.push(...results.flatMap(({ problems }) => problems));
    report.violation = checker.check(results.flatMap(({ operations }) => operations));
    report.operations += share * everybody.length;
    report.bursts += 1;
  }
  return { ...report, figures: checker.figures, seconds: (performance.now() - start) / 1_000 };
}
