/** A source in a temporary folder, with all that a snapshot of it needs; a test states only its difference. */
import { mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Entry } from '../../src/catalog/entry.js';
import { escapePath } from '../../src/catalog/path-text.js';
import { ScanCache } from '../../src/catalog/scan-cache.js';
import type { SnapshotId } from '../../src/catalog/snapshot.js';
import { type SnapshotOrder, type SnapshotVerdict, takeSnapshot } from '../../src/catalog/take-snapshot.js';
import { walkEntries } from '../../src/catalog/walk.js';
import { type HostId, type SourceId, sourceIdOf } from '../../src/core/ids.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { KeptObjects } from './kept-objects.js';

export const aSource: SourceId = sourceIdOf('ab'.repeat(16) as HostId, 'photos');
/** Long ago, so that nothing is racily clean and every file is cached. */
export const anyTimeMs = 1_800_000_000_000;

export type Taken = Extract<SnapshotVerdict, { kind: 'taken' }>;

export class ScratchSource {
  readonly folder: string;
  readonly root: string;
  readonly objects = new KeptObjects();
  readonly cache: ScanCache;
  readonly keys = generateKeyPair();
  readonly signer = signerFromSeed(this.keys.seed);
  last: SnapshotId | undefined;

  /** `settleMs`: default 0, so that no test has to wait for its files to settle; what is racily clean is read again all the same. */
  constructor(
    t: { teardown(end: () => void | Promise<void>): void },
    { settleMs = 0 }: { readonly settleMs?: number } = {},
  ) {
    this.folder = temporaryFolder(t);
    this.root = join(this.folder, 'source');
    mkdirSync(this.root);
    this.cache = new ScanCache(join(this.folder, 'scan.mdb'), { nowMs: anyTimeMs, settleMs });
    t.teardown(() => this.cache.close());
  }

  /** Writes files (text), and folders on the way to them. */
  write(files: Readonly<Record<string, string | Uint8Array>>): void {
    for (const [path, content] of Object.entries(files)) {
      const full = join(this.root, path);
      mkdirSync(dirname(full), { recursive: true });
      writeFileSync(full, content);
    }
  }

  path(...names: readonly string[]): string {
    return join(this.root, ...names);
  }

  setTime(path: string, seconds: number): void {
    utimesSync(this.path(path), seconds, seconds);
  }

  order(change: Partial<SnapshotOrder> = {}): SnapshotOrder {
    return {
      path: this.root,
      source: aSource,
      previous: this.last,
      objects: this.objects,
      cache: this.cache,
      forbidden: [],
      nowMs: anyTimeMs,
      holdDays: 2,
      signer: this.signer,
      scratchFolder: this.folder,
      ...change,
    };
  }

  /** A snapshot that is expected to be taken, and is the last one for the next. */
  async take(change: Partial<SnapshotOrder> = {}): Promise<Taken> {
    const verdict = await takeSnapshot(this.order(change));
    if (verdict.kind !== 'taken') throw new Error(`refused: ${verdict.because}: ${verdict.detail}`);
    this.last = verdict.snapshot;
    return verdict;
  }

  async entries(snapshot: SnapshotId | undefined = this.last, under?: string): Promise<Entry[]> {
    if (snapshot === undefined) throw new Error('no snapshot yet');
    const entries: Entry[] = [];
    const options = under === undefined ? {} : { under: Buffer.from(under) };
    for await (const { entry } of walkEntries(this.objects, snapshot, options)) entries.push(entry);
    return entries;
  }

  /** The paths of a snapshot as text, without that of the source's own folder. */
  async paths(snapshot: SnapshotId | undefined = this.last): Promise<string[]> {
    return (await this.entries(snapshot)).map(({ path }) => escapePath(path)).filter(path => path !== '');
  }

  async entry(path: string | Buffer, snapshot: SnapshotId | undefined = this.last): Promise<Entry> {
    const wanted = Buffer.from(path);
    const entry = (await this.entries(snapshot)).find(one => one.path.equals(wanted));
    if (entry === undefined) throw new Error(`no entry ${escapePath(wanted)}`);
    return entry;
  }
}

/** Waits until whatever was written before is so old that the cache keeps it (50 ms, where nothing has to settle: scan-cache.ts). */
export async function settle(source: ScratchSource): Promise<void> {
  const probe = join(source.folder, 'probe');
  const changedNs = (): bigint => {
    writeFileSync(probe, '');
    return statSync(probe, { bigint: true }).ctimeNs;
  };
  const writtenNs = changedNs();
  while (changedNs() - writtenNs <= 60_000_000n) await delay(5);
}
