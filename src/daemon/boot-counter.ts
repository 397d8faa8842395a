/**
 * Boot counter: how often this service has started, in STATE/boot. It rises, durably, before anything else is done.
 * Stores carry it too; where the two differ, the state folder or the store is an old image.
 */
import { join } from 'node:path';
import { ClusterError } from '../core/fault.js';
import { readIfThere, writeDurable } from '../platform/durable.js';

export async function countBoot(stateDir: string): Promise<{ readonly boot: number; readonly previousBoot: number }> {
  const path = join(stateDir, 'boot');
  const text = readIfThere(path)?.toString('utf8').trim() ?? '0';
  const previousBoot = Number(text);
  if (!/^\d{1,15}$/.test(text)) {
    throw new ClusterError(
      'STATE_DAMAGED',
      `${path} is not a number: ${JSON.stringify(text.slice(0, 40))}; nothing was changed. Remove the file: stores are then read again in full`,
      { blame: 'operator' },
    );
  }
  await writeDurable(path, `${previousBoot + 1}\n`, { mode: 0o600 });
  return { boot: previousBoot + 1, previousBoot };
}

/** Raises the counter so that the next start is above `seen`. */
export async function raiseBoot(stateDir: string, seen: number): Promise<void> {
  await writeDurable(join(stateDir, 'boot'), `${seen}\n`, { mode: 0o600 });
}
