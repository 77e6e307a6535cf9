// The loops that are timed with one operation in flight at a time. The timer imports this module again for each cell
// (`loops.mjs?7`): code that has called only one contender's function is compiled for it, as in an application.

/** Reads `count` keys from `from` on; returns how many were found. */
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
