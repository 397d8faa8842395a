/**
 * Made stores: which stores this host has made, and where: a store's marker is made once and never again, because a
 * folder without it is where a disk is not mounted. Only when the policy has named the path no longer may it be another
 * disk's, and is forgotten. Kept in STATE/stores.json.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterError } from '../core/fault.js';
import { parseStoreId, type StoreId } from '../core/ids.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { Turns } from '../store/turns.js';

const FILE = 'stores.json';

export class MadeStores {
  readonly #stateDir: string;
  readonly #turns = new Turns<'write'>();
  #byPath = new Map<string, StoreId>();

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Reads what was made in earlier runs. @throws ClusterError STATE_DAMAGED */
  recall(): void {
    this.#byPath = readMade(join(this.#stateDir, FILE));
  }

  at(path: string): StoreId | undefined {
    return this.#byPath.get(path);
  }

  paths(): readonly string[] {
    return [...this.#byPath.keys()];
  }

  remember(path: string, id: StoreId): Promise<void> {
    this.#byPath.set(path, id);
    return this.#write();
  }

  async forget(path: string): Promise<void> {
    if (this.#byPath.delete(path)) await this.#write();
  }

  #write(): Promise<void> {
    // One write at a time, or an older list would replace a newer one.
    return this.#turns.take('write', async () => {
      await mkdir(this.#stateDir, { recursive: true });
      const text = `${JSON.stringify(Object.fromEntries(this.#byPath), null, 2)}\n`;
      await writeDurable(join(this.#stateDir, FILE), Buffer.from(text), { mode: 0o600 });
    });
  }
}

function readMade(path: string): Map<string, StoreId> {
  const text = readIfThere(path)?.toString('utf8');
  if (text === undefined) return new Map();
  try {
    const entries = Object.entries(JSON.parse(text) as Record<string, string>);
    return new Map(entries.map(([storePath, id]) => [storePath, parseStoreId(id)]));
  } catch (cause) {
    throw new ClusterError(
      'STATE_DAMAGED',
      `${path} does not say which stores this host has made: ${JSON.stringify(text.slice(0, 60))}; nothing was changed. Plug in the disks of all of its stores, then remove the file: each store is taken as it is; where a disk is missing, an empty store would be made in its place`,
      { blame: 'operator', cause },
    );
  }
}
