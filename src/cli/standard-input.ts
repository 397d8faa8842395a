/**
 * Standard input: read to its end, or until a signal ends the command: by itself a read ends only when whoever writes
 * closes its end, and a terminal may never.
 */
import { ClusterError } from '../core/fault.js';

/** What is read there is a token or a policy, of at most 256 KiB: whether it is one, others say. */
const INPUT_BYTES_MAX = 1024 * 1024;

/** @throws ClusterError INPUT_TOO_LONG; the signal's reason */
export async function readStandardInput(signal: AbortSignal): Promise<string> {
  const { stdin } = process;
  signal.throwIfAborted();
  const end = (): void => void stdin.destroy(signal.reason);
  signal.addEventListener('abort', end, { once: true });
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of stdin) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > INPUT_BYTES_MAX) throw tooLong();
    }
    signal.throwIfAborted();
    return Buffer.concat(chunks).toString();
  } finally {
    signal.removeEventListener('abort', end);
  }
}

const tooLong = (): ClusterError =>
  new ClusterError('INPUT_TOO_LONG', `there are more than ${INPUT_BYTES_MAX} bytes on stdin; nothing was changed`, {
    blame: 'operator',
  });
