/** Life-cycle messages for `DEBUG=clustered-cache:*`, in the naming that users of the `debug` package expect. */

type Print = (format: string, ...values: unknown[]) => void;

const patterns = (process.env['DEBUG'] ?? '').split(/[\s,]+/).filter(Boolean);

/** A printer for `clustered-cache:<topic>`; it does nothing unless `DEBUG` names it. */
export function debug(topic: string): Print {
  const name = `clustered-cache:${topic}`;
  if (!isEnabled(name)) return () => {};
  return (format, ...values) =>
    console.error(`${new Date().toISOString()} ${name} ${process.pid} ${format}`, ...values);
}

function isEnabled(name: string): boolean {
  const matches = (pattern: string) => {
    const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
    return new RegExp(`^${escaped}$`).test(name);
  };
  const excluded = patterns.filter((pattern) => pattern.startsWith('-')).map((pattern) => pattern.slice(1));
  return patterns.some((pattern) => !pattern.startsWith('-') && matches(pattern)) && !excluded.some(matches);
}
