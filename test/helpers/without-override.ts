/** Without override: how to run a program that must not be able to read everything, as tests often can, which run as root. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Root has to give that right up; others have not got it. @returns the list that it prints as JSON */
export function runWithoutOverride<T>(program: URL, ...words: readonly string[]): T[] {
  const script = fileURLToPath(program);
  const isRoot = process.getuid?.() === 0;
  const rights = '-dac_override,-dac_read_search';
  const [command = '', ...args] = isRoot
    ? ['setpriv', `--inh-caps=${rights}`, `--bounding-set=${rights}`, process.execPath, script, ...words]
    : [process.execPath, script, ...words];
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 110_000 });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${script} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as T[];
}
