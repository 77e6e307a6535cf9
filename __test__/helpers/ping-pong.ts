import { fileURLToPath } from 'node:url';
import type { Agent } from './agents.ts';
import type { Cluster } from './cluster.ts';
import { unique } from './names.ts';
import { SHARED } from './transport.ts';

const PLAYER = fileURLToPath(new URL('../fixtures/player.cjs', import.meta.url));

export interface Player {
  /** A worker of the cluster. */
  worker: Agent;
  /** Of its cache. */
  options: object;
}

/**
 * Two workers change one key in turn, each with the next kind of change, and each reads as soon as the other's change
 * is acknowledged; see fixtures/player.cjs. Returns every wrong value that either of them saw.
 */
export async function pingPong({ primary }: Cluster, players: [Player, Player], rounds: number): Promise<string[]> {
  await primary.run(({ cluster, state }) => {
    if (state.passesTurns) return;
    state.passesTurns = true;
    cluster.on('message', (_worker, message) => {
      if (!message?.game) return;
      const next = Object.values(cluster.workers ?? {}).find((worker) => worker?.process.pid === message.game.to);
      next?.send(message);
    });
  });
  const [first, second] = players;
  const key = unique('game');
  const join = ({ worker, options }: Player, partner: Player) =>
    worker.run(
      async ({ cache, require, state }, file, options, game) => {
        await cache(options).ready;
        state.player = new (require(file).Player)(cache(options), game);
      },
      PLAYER,
      options,
      { key, partner: partner.worker.pid, rounds, sync: SHARED },
    );
  await Promise.all([join(first, second), join(second, first)]);
  await first.worker.run(({ state }) => state.player.act(0));
  const reports = await Promise.all(
    players.map(({ worker }) => worker.run<[], string[]>(({ state }) => state.player.over)),
  );
  return reports.flat();
}
