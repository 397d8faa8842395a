/**
 * Boot counter: how often this service has started, in STATE/boot. It rises, durably, before anything else is done.
 * Stores carry it too; where the two differ, the state folder or the store is an old image.
 *
 * Several machines may be one host, one after the other. Each counts from above all starts of those before it, which
 * others have heard: two starts with one number would be taken for two machines that run at the same time.
 */
import { join } from 'node:path';
import { ClusterError } from '../core/fault.js';
import { readIfThere, writeDurable } from '../platform/durable.js';

/** More than a machine has in its life: one every five minutes for nearly ten years. */
const STARTS_PER_MACHINE = 2 ** 20;

/** The starts of a host that other machines before the present one may have had are numbered up to this. */
export const formerBootMax = (predecessors: number): number => predecessors * STARTS_PER_MACHINE;

/** @param predecessors how many other machines were this host before */
export async function countBoot(
  stateDir: string,
  predecessors = 0,
): Promise<{ readonly boot: number; readonly previousBoot: number }> {
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
  const boot = Math.max(previousBoot, formerBootMax(predecessors)) + 1;
  await writeDurable(path, `${boot}\n`, { mode: 0o600 });
  return { boot, previousBoot };
}

/** Raises the counter so that the next start is above `seen`. */
export async function raiseBoot(stateDir: string, seen: number): Promise<void> {
  await writeDurable(join(stateDir, 'boot'), `${seen}\n`, { mode: 0o600 });
}
