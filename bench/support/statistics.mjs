/** The middle of a list of numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * How many times `a` is `b`: the median over the rounds of one run, so that a disturbance of a whole round (another
 * process, a warmer processor) slows both sides of a quotient.
 */
export const ratio = (a, b) => median(a.map((value, round) => value / b[round]));
