/**
 * Index owner: an index that was made while this machine was another host is removed, and made anew. It keeps the
 * words of all others but this host, and nothing in it says of which host that was.
 *
 * Driven by state-disk.ts, before the index is opened.
 */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostId } from '../core/ids.js';
import { readIfThere, writeDurable } from '../platform/durable.js';

/** In the index of a machine that goes on as a host that another one was before: that host's id. */
const OWNER_FILE = 'host';

/** @param firstHost the host that this machine was when its key was made: an index that names none is of that one */
export async function keepIndexOf(
  host: HostId,
  { stateDir, firstHost }: { readonly stateDir: string; readonly firstHost: HostId },
): Promise<void> {
  const [index, former] = [join(stateDir, 'index'), join(stateDir, 'index.former')];
  const file = join(index, OWNER_FILE);
  await rm(former, { recursive: true, force: true });
  const owner = readIfThere(file)?.toString('utf8').trim() ?? firstHost;
  if (owner === host) return;
  if (existsSync(index)) {
    // In one step: a crash in the middle of the removal would leave a part of it in use.
    await rename(index, former);
    await rm(former, { recursive: true });
  }
  await mkdir(index, { recursive: true, mode: 0o700 });
  if (host !== firstHost) await writeDurable(file, `${host}\n`, { mode: 0o600 });
}
