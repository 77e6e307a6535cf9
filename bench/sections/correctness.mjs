// Before anything is timed: what one worker stores, another reads back equal, and no count is lost.

import { strictEqual } from 'node:assert/strict';

const TIMES = 6_400;

/** Checks every team; throws at the first that fails, since the time of a wrong answer says nothing. */
export async function checkCorrectness(teams, { log }) {
  for (const { contender, module, team, workers } of teams) {
    try {
      if (module.sharesNothing) {
        await team.workers('fill');
        await team.workers('write');
        await team.workers('read');
      } else {
        await team.worker(0, 'fill');
        await team.worker(0, 'write');
        await team.worker(workers - 1, 'read');
        await checkCounting(contender, team, workers);
      }
    } catch (error) {
      throw new Error(`${contender} does not do what it should, so timing it would say nothing:\n${error.message}`, {
        cause: error,
      });
    }
    log(`  ${contender}, ${module.what}: right`);
  }
}

/** All workers count the same key at once: each number comes once, and the last is the total. */
async function checkCounting(contender, team, workers) {
  const seen = (await team.workers('count', { key: `correct:${contender}`, times: TIMES })).flat();
  strictEqual(new Set(seen).size, TIMES * workers, 'two workers were answered the same number');
  strictEqual(Math.max(...seen), TIMES * workers, 'the total is not what was counted');
}
