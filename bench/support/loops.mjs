// The loops that are timed when one operation is under way at a time. Whoever times imports this module anew for each
// cell (`loops.mjs?7`): code that has seen a single contender's function is compiled for it, as an application's is.

/** Reads `count` keys from `from` on; says how many there were. */
export function batch(get, keys, from, count) {
  let found = 0;
  let at = from;
  for (let done = 0; done < count; done++) {
    if (get(keys[at]) != null) found++;
    if (++at === keys.length) at = 0;
  }
  return found;
}

/** As `batch`, with each read awaited before the next. */
export async function awaitedBatch(get, keys, from, count) {
  let found = 0;
  let at = from;
  for (let done = 0; done < count; done++) {
    if ((await get(keys[at])) != null) found++;
    if (++at === keys.length) at = 0;
  }
  return found;
}
