// Numbers and tables for people.

/** Columns as wide as they need to be; the first to the left, numbers to the right. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join('  ')
      .trimEnd();
  const [head, ...body] = rows;
  return [line(head), '-'.repeat(line(head).length), ...body.map(line)].map((text) => `  ${text}`).join('\n');
}

/** Rounds to three digits, the precision of such a measurement. */
const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));

/** `462 k`: a rate, or a number of things. */
export function rate(value) {
  if (value >= 1e6) return `${digits(value / 1e6)} M`;
  return value >= 1e3 ? `${digits(value / 1e3)} k` : value.toFixed(0);
}

/** `23.1 us`: a time given in microseconds. */
export function micros(value) {
  if (value >= 1e6) return `${digits(value / 1e6)} s`;
  return value >= 1e3 ? `${digits(value / 1e3)} ms` : `${digits(value)} \u00b5s`;
}

export const milliseconds = (value) => `${value.toFixed(1)} ms`;

export const megabytes = (bytes) => `${(bytes / 1024 ** 2).toFixed(1)} MiB`;

/** `310 ns`: a time given in nanoseconds. */
export const nanos = (value) => (value >= 1e3 ? micros(value / 1e3) : `${digits(value)} ns`);

/** `64 KiB`: a size of a value. */
export function bytes(count) {
  if (count >= 1024 ** 2) return `${count / 1024 ** 2} MiB`;
  return count >= 1024 ? `${count / 1024} KiB` : `${count} B`;
}
