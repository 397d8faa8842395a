/**
 * Temporary folder: all of a test's files are below one, and it goes with the test, or with its process.
 *
 * By a short name, for sockets have short paths.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atProcessEnd } from './at-process-end.js';

interface Place {
  /** Default: where temporary files go. */
  readonly below?: string;
}

/** Of a test, or with `{ teardown: test.after.always }` of a file of tests. What is torn down first may still use it. */
export function temporaryFolder(t: { teardown(end: () => void): void }, place: Place = {}): string {
  const folder = newTemporaryFolder(place);
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const forget = atProcessEnd(remove);
  t.teardown(() => {
    remove();
    forget();
  });
  return folder;
}

/** Whoever makes one removes it. */
export const newTemporaryFolder = ({ below = tmpdir() }: Place = {}): string => mkdtempSync(join(below, 'sh-'));
