/** Made stores: where this host has made stores, and which: a marker is made once and never again. Kept in STATE/stores.json. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseStoreId, type StoreId } from '../core/ids.js';
import { writeDurable } from '../platform/durable.js';
import { Turns } from '../store/turns.js';

const FILE = 'stores.json';

export class MadeStores {
  readonly #stateDir: string;
  readonly #turns = new Turns<'write'>();
  #byPath = new Map<string, StoreId>();

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** What was made in earlier runs. */
  async recall(): Promise<void> {
    this.#byPath = await readMade(join(this.#stateDir, FILE));
  }

  at(path: string): StoreId | undefined {
    return this.#byPath.get(path);
  }

  remember(path: string, id: StoreId): Promise<void> {
    this.#byPath.set(path, id);
    // One after the other, or an older list would take the place of a newer one.
    return this.#turns.take('write', async () => {
      await mkdir(this.#stateDir, { recursive: true });
      const text = `${JSON.stringify(Object.fromEntries(this.#byPath), null, 2)}\n`;
      await writeDurable(join(this.#stateDir, FILE), Buffer.from(text), { mode: 0o600 });
    });
  }
}

async function readMade(path: string): Promise<Map<string, StoreId>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw error;
  }
  const entries = Object.entries(JSON.parse(text) as Record<string, string>);
  return new Map(entries.map(([storePath, id]) => [storePath, parseStoreId(id)]));
}
