// The teams of one section: all its contenders, checked before anything is timed.

import { strictEqual } from 'node:assert/strict';
import { load } from './contender.mjs';
import { Team } from './team.mjs';

const TIMES = 6_400;
const CHANGES = 20;

/**
 * Starts a team for each contender, checks that it does correctly what will be timed, and ends all teams after
 * `measure`.
 *
 * @param contenders - names; contenders whose service this machine does not have are skipped
 * @param workers - how many for each
 * @param names - sets of entries to store first; the usual ones if omitted
 * @param spaces - additional separate content to store first, as `{ space, names, entries, kept }`; `kept` is how many
 *   values a   near cache keeps
 */
export async function withTeams({ contenders, services, workers, names, spaces = [] }, measure) {
  const teams = [];
  try {
    for (const contender of contenders) {
      const module = await load(contender);
      if (services.missing[module.needs]) continue;
      const { addresses } = services;
      const team = await Team.start({ contender, addresses, workers });
      const entry = { contender, module, team, workers };
      teams.push(entry);
      try {
        await prepare(entry, { names });
        for (const one of spaces) {
          await team.workers('connect', { contender, addresses, ...one });
          await prepare(entry, one);
        }
      } catch (error) {
        throw new Error(`${contender} does not do what it should, so timing it would say nothing:\n${error.message}`, {
          cause: error,
        });
      }
    }
    return await measure(teams);
  } finally {
    await Promise.all(teams.map(({ team }) => team.end()));
  }
}

/** One worker stores entries and another reads them; if nothing is shared, each stores its own. */
async function prepare({ module, team, workers }, what) {
  const last = workers - 1;
  if (module.sharesNothing) {
    await team.workers('fill', what);
    await team.workers('check', what);
  } else {
    await team.worker(0, 'fill', what);
    await team.worker(last, 'check', what);
  }
}

/** Values of every kind, lists of them, counters: once in a run, for all contenders. */
export async function checkCorrectness(teams, { log }) {
  for (const { contender, module, team, workers } of teams) {
    try {
      if (module.sharesNothing) {
        await team.workers('write');
        await team.workers('read');
      } else {
        await team.worker(0, 'write');
        await team.worker(workers - 1, 'read');
        await checkChanges(team, workers);
        await checkCounting(contender, team, workers);
      }
    } catch (error) {
      throw new Error(`${contender} does not do what it should, so timing it would say nothing:\n${error.message}`, {
        cause: error,
      });
    }
    log(`  ${contender}: ${module.title}, ${module.what}: right`);
  }
}

/** One worker changes entries that another has read before: from then on the other must read the change. */
async function checkChanges(team, workers) {
  for (let turn = 0; turn < CHANGES; turn++) {
    await team.worker(0, 'change', { turn });
    await team.worker(workers - 1, 'changed', { turn });
  }
}

/** All workers count the same key at once: each number comes once, and the last is the total. */
async function checkCounting(contender, team, workers) {
  const seen = (await team.workers('count', { key: `correct:${contender}`, times: TIMES })).flat();
  strictEqual(new Set(seen).size, TIMES * workers, 'two workers were answered the same number');
  strictEqual(Math.max(...seen), TIMES * workers, 'the total is not what was counted');
}
