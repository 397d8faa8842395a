/**
 * Temporary folder: holds all files of a test, and is removed with the test, or with its process.
 *
 * Its name is short, because the path of a socket must be short.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atProcessEnd } from './at-process-end.js';

interface Place {
  /** Default: the system's folder for temporary files. */
  readonly below?: string;
}

/**
 * For a test or, with `{ teardown: test.after.always }`, a file of tests. Teardowns that run earlier may still use it.
 */
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

/** The caller must remove it. */
export const newTemporaryFolder = ({ below = tmpdir() }: Place = {}): string => mkdtempSync(join(below, 'sh-'));
