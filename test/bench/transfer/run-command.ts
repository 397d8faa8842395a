/** Run a command to its end, within a time; it is killed when this process ends before it. */
import { spawn } from 'node:child_process';
import { atProcessEnd } from '../../helpers/at-process-end.js';

/** Of what it printed, in an error. */
const TOLD_CHARACTERS = 2_000;

/** @throws with what it printed, when it does not end with 0 in time, or is killed by the signal */
export function runCommand(
  words: readonly string[],
  { withinMs, signal }: { readonly withinMs: number; readonly signal?: AbortSignal },
): Promise<string> {
  const [command = '', ...args] = words;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: withinMs, killSignal: 'SIGKILL' });
    const kill = (): void => {
      child.kill('SIGKILL');
    };
    signal?.addEventListener('abort', kill);
    const forget = atProcessEnd(kill);
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk;
    });
    child.on('error', cause => {
      forget();
      reject(new Error(`${command} could not be started`, { cause }));
    });
    child.on('close', (code, signal) => {
      forget();
      if (code === 0) resolve(out);
      else reject(new Error(`${words.join(' ')} ended with ${signal ?? code}: ${err.slice(-TOLD_CHARACTERS)}`));
    });
  });
}
