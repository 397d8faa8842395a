/**
 * Live diff: how a source's folder differs, at this moment, from a snapshot.
 *
 * It looks as the next run would (scan.ts, merge-scan.ts): what cannot be read is reported as unread and never as gone,
 * and a folder of which no snapshot would be taken, because it is missing or empty, is refused. It puts no objects;
 * what it had to read is noted in the scan cache, and the next run need not read it again. The folder is walked as a
 * whole, whatever path is asked for: only so can it be seen whether there is a mount point above the path, and whether
 * the folder is the source at all.
 *
 * Both sides stream. Driven by origin.ts, between two runs of the source.
 */
import { assert, ClusterError } from '../core/fault.js';
import type { SourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { type Difference, diffEntries } from './diff.js';
import type { Entry } from './entry.js';
import { type FileSystemFound, isSameFileSystem } from './file-system-print.js';
import type { ForbiddenFolder } from './forbidden-folder.js';
import { leftOutBy } from './left-out.js';
import { entriesOf, type Merged, ScanMerge } from './merge-scan.js';
import { isAtOrUnder } from './path-order.js';
import { escapePath } from './path-text.js';
import { readSnapshot } from './read-object.js';
import { scan } from './scan.js';
import type { ScanCache } from './scan-cache.js';
import type { SnapshotId } from './snapshot.js';
import { decideBrake, type SnapshotRefusal } from './take-snapshot.js';
import { walkEntries, walkStretches } from './walk.js';

export interface LiveDiffOrder {
  /** The source's folder. */
  readonly path: string;
  readonly source: SourceId;
  readonly snapshot: SnapshotId;
  /** Only differences at this path and below it; empty for all. */
  readonly under: Buffer;
  readonly objects: ObjectReader;
  readonly cache: ScanCache;
  readonly exclude: readonly string[];
  readonly crossMounts: boolean;
  /** The stores and state folders of this host: never scanned. */
  readonly forbidden: readonly ForbiddenFolder[];
  /** The wall clock. */
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

export type LiveDifference =
  /** In path order. */
  | Difference
  /** After all differences: something that was not compared because it cannot be read. */
  | { readonly kind: 'unread'; readonly path: Buffer; readonly because: string }
  /** … and how many more of these there are, anywhere in the source. */
  | { readonly kind: 'more-unread'; readonly count: number };

/** The last item, in place of the rest: nothing that was given before it holds. */
export interface LiveRefusal {
  readonly kind: 'refused';
  readonly because: SnapshotRefusal;
  readonly detail: string;
}

/** @throws ClusterError PATH_UNKNOWN, SCAN_FAILED; ObjectMissing and MalformedObject about the snapshot; the signal's reason. */
export async function* diffLive(order: LiveDiffOrder): AsyncGenerator<LiveDifference | LiveRefusal> {
  const look = new Look(order);
  try {
    for await (const difference of diffEntries(look.before(), look.now())) {
      if (look.refused !== undefined) break;
      yield difference;
    }
    const refused = look.refused ?? (await look.brake());
    if (refused !== undefined) yield { ...refused, kind: 'refused' };
    else yield* look.unread();
  } finally {
    await look.close();
  }
}

class Look {
  readonly #order: LiveDiffOrder;
  readonly #merge: ScanMerge;
  #found: FileSystemFound = { device: 0n, print: 0n };
  #isPathKnown = false;
  /** Why the folder was not scanned. */
  refused: Omit<LiveRefusal, 'kind'> | undefined;

  constructor(order: LiveDiffOrder) {
    const { objects, snapshot, signal } = order;
    this.#order = order;
    // Every entry is compared, one by one: the scan is given no sections, so that it passes none over.
    const previous = { stretchesFrom: () => walkStretches(objects, snapshot, { signal }) };
    this.#merge = new ScanMerge({ previous, acceptMissing: false, isLeftOut: leftOutBy(order) });
  }

  /** The entries of the snapshot. */
  async *before(): AsyncGenerator<Entry> {
    const { objects, snapshot, under, signal } = this.#order;
    for await (const { entry } of walkEntries(objects, snapshot, { under, signal })) {
      this.#isPathKnown = true;
      yield entry;
    }
  }

  /** The entries of the folder; for what cannot be read, those of the snapshot. */
  async *now(): AsyncGenerator<Entry> {
    const { path, source, cache, exclude, crossMounts, forbidden, nowMs, signal } = this.#order;
    cache.flush();
    const { path: cachePath, settleMs } = cache;
    const order = { path, source, cachePath, settleMs, exclude, crossMounts, forbidden, nowMs, signal };
    for await (const event of scan(order)) {
      if (event.kind === 'refused') {
        this.refused = event;
        return;
      }
      if (event.kind === 'root') {
        this.#found = event;
        continue;
      }
      if (event.kind === 'latecomers') {
        this.#merge.miss(event.paths);
        continue;
      }
      yield* this.#entries(this.#merge.merge(event.items));
    }
    yield* this.#entries(this.#merge.end());
  }

  async *#entries(stretches: AsyncIterable<readonly Merged[]>): AsyncGenerator<Entry> {
    for await (const stretch of stretches) {
      for (const merged of stretch) {
        assert(!('same' in merged), 'a section of a scan that was told of none');
        const { entry } = merged;
        if (!isAtOrUnder(entry.path, this.#order.under)) continue;
        this.#isPathKnown = true;
        yield entry;
      }
    }
  }

  /** Whether the folder is the source, or only the place where it was. */
  async brake(): Promise<Omit<LiveRefusal, 'kind'> | undefined> {
    const { device } = await readSnapshot(this.#order.objects, this.#order.snapshot);
    return decideBrake({ tally: this.#merge.tally, sameDevice: isSameFileSystem(device, this.#found) });
  }

  *unread(): Generator<LiveDifference> {
    const { under, snapshot } = this.#order;
    const { unread, stale, missed } = this.#merge.tally;
    // Something unreadable above the path hides it.
    const told = unread.filter(({ path }) => isAtOrUnder(path, under) || isAtOrUnder(under, path));
    if (!this.#isPathKnown && told.length === 0) {
      const text = `neither snapshot ${snapshot.slice(0, 8)} nor the folder has such a path: ${escapePath(under)}`;
      throw new ClusterError('PATH_UNKNOWN', text, { blame: 'operator' });
    }
    for (const { path, because } of told) yield { kind: 'unread', path, because };
    const count = stale + missed - unread.reduce((sum, one) => sum + entriesOf(one), 0);
    if (count > 0) yield { kind: 'more-unread', count };
  }

  async close(): Promise<void> {
    await this.#merge.close();
  }
}
