/** Real stores in temporary folders, for the tests of this folder. */
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { parseClusterId, parseHostId } from '../../src/core/ids.js';
import { createStore } from '../../src/store/create-store.js';
import { type IndexDatabase, openIndexDatabase } from '../../src/store/index-database.js';
import { openStore, type StoreOpening } from '../../src/store/open-store.js';
import type { Store } from '../../src/store/store.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { blobsOf } from '../helpers/test-parcels.js';

export const CLUSTER = parseClusterId('c1'.repeat(16));
export const HOST = parseHostId('a1'.repeat(16));
export const SILENT = pino({ level: 'silent' });

/** One host with one store, over several starts. */
export class TestHost {
  readonly folder: string;
  readonly storePath: string;
  boot = 1;
  nowMs = 1_700_000_000_000;
  index: IndexDatabase;
  store: Store | undefined;

  private constructor(folder: string) {
    this.folder = folder;
    this.storePath = join(folder, 'store');
    this.index = openIndexDatabase(join(folder, 'index'));
  }

  /** @param prepare the folder of the store, before it is one */
  static async begin(t: ExecutionContext, prepare: (storePath: string) => void = () => {}): Promise<TestHost> {
    const folder = temporaryFolder(t);
    const host = new TestHost(folder);
    t.teardown(() => host.stop());
    await mkdir(host.storePath);
    prepare(host.storePath);
    await createStore(host.storePath, host.#creating());
    return host;
  }

  #creating() {
    return { cluster: CLUSTER, host: HOST, boot: this.boot, nowMs: this.nowMs, random: () => randomBytes(8) };
  }

  opening(changes: Partial<StoreOpening> = {}): StoreOpening {
    return {
      ...this.#creating(),
      path: this.storePath,
      previousBoot: this.boot - 1,
      index: this.index,
      blobsOf,
      log: SILENT,
      clocks: { wallMs: () => this.nowMs, steadyMs: () => this.nowMs },
      ...changes,
    };
  }

  async mount(changes: Partial<StoreOpening> = {}): Promise<Store> {
    const opened = await openStore(this.opening(changes));
    if (opened.kind === 'missing') throw new Error(`the store is missing: ${opened.because}`);
    this.store = opened.store;
    return opened.store;
  }

  async stop(): Promise<void> {
    await this.store?.close();
    this.store = undefined;
    await this.index.close();
  }

  /** Ends the service and begins it again; `between` happens while it is down. */
  async restart(between: () => Promise<void> = async () => {}, changes: Partial<StoreOpening> = {}): Promise<Store> {
    await this.stop();
    await between();
    this.boot += 1;
    this.reopenIndex();
    return this.mount(changes);
  }

  reopenIndex(): void {
    this.index = openIndexDatabase(join(this.folder, 'index'));
  }

  async forgetIndex(): Promise<void> {
    await rm(join(this.folder, 'index'), { recursive: true, force: true });
  }
}
