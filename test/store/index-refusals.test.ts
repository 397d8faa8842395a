import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const RUN = fileURLToPath(new URL('index-refused-run.js', import.meta.url));
/** Enough for an empty index. */
const FILE_BYTES_MAX = 1024 * 1024;
const RUN_MS_MAX = 60_000;

interface Told {
  /** `refused`: how often a writer was told so. */
  readonly during: { readonly refused: number; readonly counted: number };
  readonly after: { readonly refused: number; readonly counted: number };
  readonly unheld: number;
  /** Of the errors that writers were told of. */
  readonly codes: readonly unknown[];
}

function runRefused(t: ExecutionContext, ...more: readonly string[]): Told {
  const path = join(temporaryFolder(t), 'index');
  // Only the soft limit, which the process may raise.
  const limit = `--fsize=${FILE_BYTES_MAX}:`;
  const out = execFileSync('prlimit', [limit, process.execPath, RUN, path, ...more], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: RUN_MS_MAX,
  });
  return JSON.parse(out);
}

const why = process.platform === 'linux' ? undefined : 'only Linux has prlimit';
const whereRefused = (title: string, run: (t: ExecutionContext) => void): void =>
  test(title, t => (why === undefined ? run(t) : skip(t, why)));

whereRefused(
  'what the disk refuses the index is told to whoever wrote it, and leaves no rejection to end the process',
  t => {
    const { during, unheld, codes } = runRefused(t);
    t.true(during.refused > 0);
    t.true(codes.includes('INDEX_REFUSED'), 'a transaction is refused in words of our own');
    t.true(during.counted > 0);
    t.is(unheld, 0);
  },
);

whereRefused('… and once there is room the same index takes writes again', t => {
  const { during, after, unheld } = runRefused(t, 'lift');
  t.true(during.refused > 0);
  t.deepEqual(after, { refused: 0, counted: during.counted });
  t.is(unheld, 0);
});
