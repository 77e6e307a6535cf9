import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A directory for one test that no other user can enter; removed with its content. */
export function directoryFor(t: { teardown(remove: () => void): void }): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'cc-own-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
