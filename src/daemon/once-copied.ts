/**
 * Once copied: the snapshots of this host's sources whose every parcel has had a holder. Nothing that they list is cut
 * out of a snapshot (recut.ts is for files that are gone *before* anybody has them), even when no host says any longer
 * that it holds it: a log that was begun again says nothing about what lies in its store until all of that has been
 * read again, which takes hours.
 *
 * During that time the same applies to every snapshot older than the new log, because nobody knows how much of it the
 * store has.
 *
 * Retention asks here too: nothing is protected while its holders are away, and what they have must not be unlisted
 * because of that.
 *
 * Kept in `STATE/copied.json`. If that file is damaged, everything that is wanted then counts as copied. Driven by the
 * origin.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { ObjectMissing, readPage, readSnapshot } from '../catalog/read-object.js';
import {
  type HostId,
  type ObjectId,
  parseObjectId,
  parseSourceId,
  parseStoreId,
  type SourceId,
  type StoreId,
} from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectReader } from '../core/objects.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { Turns } from '../store/turns.js';

const FILE = 'copied.json';
/** A Pi that hashes 30 MB/s reads a disk of 4 TB in a day and a half, and its host may be off meanwhile. */
const READ_AGAIN_MS = 3 * 86_400_000;

const seenLog = z.strictObject({
  /** The counter of the log's epoch. */
  counter: z.int().nonnegative(),
  /** When this host first met this epoch, after it had met an earlier one. Wall clock. */
  anewAtMs: z.int().optional(),
});
type SeenLog = z.infer<typeof seenLog>;
const copiedFile = z.strictObject({
  sources: z.record(z.string(), z.array(z.string())),
  logs: z.record(z.string(), seenLog),
});

interface Copied {
  readonly sources: Map<SourceId, ReadonlySet<ObjectId>>;
  readonly logs: Map<StoreId, SeenLog>;
}

/** Whether everything that a page lists has a holder: snapshots share most of their pages. */
type PageLooks = Map<ObjectId, boolean>;

interface WantedSnapshot {
  readonly id: ObjectId;
  readonly timeMs: number;
}

export interface OnceCopiedOptions {
  readonly self: HostId;
  readonly stateDir: string;
  readonly known: Pick<Known, 'isClaimed' | 'positions'>;
  readonly objects: ObjectReader;
  readonly wallMs: () => number;
  readonly log: Logger;
}

export class OnceCopied {
  readonly #options: OnceCopiedOptions;
  readonly #sources: Copied['sources'];
  readonly #logs: Copied['logs'];
  readonly #isDamaged: boolean;
  /** Also true when nothing was noted: then there is no file. */
  #isWritten = true;
  readonly #turns = new Turns<'write'>();

  constructor(options: OnceCopiedOptions) {
    this.#options = options;
    const read = readCopied(options);
    this.#isDamaged = read === undefined;
    this.#sources = read?.sources ?? new Map();
    this.#logs = read?.logs ?? new Map();
  }

  /**
   * Notes durably which of a source's wanted snapshots are copied now. Forgets those that are no longer wanted.
   * @param options.areAll whether these are all that are wanted; if not, more may be, and nothing is forgotten
   * @returns whether all wanted ones are, or once were, copied
   */
  async look(
    source: SourceId,
    wanted: readonly WantedSnapshot[],
    { areAll, signal }: { readonly areAll: boolean; readonly signal: AbortSignal },
  ): Promise<boolean> {
    const before = this.#noted(source, wanted);
    const copied = new Set<ObjectId>(areAll ? [] : before);
    const pages: PageLooks = new Map();
    for (const { id } of wanted) if (before.has(id) || (await this.#isCopied(id, pages, signal))) copied.add(id);
    this.#meetLogs();
    if (this.#sources.get(source) === undefined || !isSame(copied, before)) this.#isWritten = false;
    this.#sources.set(source, copied);
    if (!this.#isWritten) await this.#write();
    return areAll && copied.size === wanted.length;
  }

  /** The wanted snapshots of a source of which a host may have parts that no host says it holds. */
  mayHaveCopies(source: SourceId, wanted: readonly WantedSnapshot[]): ReadonlySet<ObjectId> {
    this.#meetLogs();
    const noted = this.#noted(source, wanted);
    const nowMs = this.#options.wallMs();
    const unreadMs = [...this.#logs.values()].flatMap(({ anewAtMs }) =>
      anewAtMs !== undefined && nowMs - anewAtMs < READ_AGAIN_MS ? [anewAtMs] : [],
    );
    const anewAtMs = Math.max(Number.NEGATIVE_INFINITY, ...unreadMs);
    return new Set(wanted.flatMap(({ id, timeMs }) => (noted.has(id) || timeMs <= anewAtMs ? [id] : [])));
  }

  /** The snapshots that were copied, by all that is known now. Notes nothing. */
  async copied(
    source: SourceId,
    wanted: readonly WantedSnapshot[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<ObjectId>> {
    const copied = new Set(this.mayHaveCopies(source, wanted));
    const pages: PageLooks = new Map();
    for (const { id } of wanted) if (!copied.has(id) && (await this.#isCopied(id, pages, signal))) copied.add(id);
    return copied;
  }

  #noted(source: SourceId, wanted: readonly WantedSnapshot[]): ReadonlySet<ObjectId> {
    return this.#sources.get(source) ?? (this.#isDamaged ? new Set(wanted.map(({ id }) => id)) : NONE);
  }

  async #isCopied(snapshot: ObjectId, looks: PageLooks, signal: AbortSignal): Promise<boolean> {
    const { known, objects } = this.#options;
    try {
      for (const page of (await readSnapshot(objects, snapshot)).pages) {
        signal.throwIfAborted();
        let isClaimed = looks.get(page);
        if (isClaimed === undefined) {
          isClaimed = (await readPage(objects, page)).every(({ id }) => known.isClaimed(id));
          looks.set(page, isClaimed);
        }
        if (!isClaimed) return false;
      }
      return true;
    } catch (error) {
      if (error instanceof ObjectMissing) return false;
      throw error;
    }
  }

  #meetLogs(): void {
    const { known, self, wallMs } = this.#options;
    for (const { host, position } of known.positions()) {
      const { store, epoch } = position;
      const known = this.#logs.get(store);
      // This host's stores have no copies of this host's own sources.
      if (host === self || (known !== undefined && epoch.counter <= known.counter)) continue;
      this.#logs.set(store, { counter: epoch.counter, ...(known && { anewAtMs: wallMs() }) });
      this.#isWritten = false;
    }
  }

  async #write(): Promise<void> {
    await this.#turns.take('write', async () => {
      const sources = Object.fromEntries([...this.#sources].map(([source, copied]) => [source, [...copied]]));
      const text = JSON.stringify({ sources, logs: Object.fromEntries(this.#logs) });
      // What is noted from here on is not in `text`.
      this.#isWritten = true;
      try {
        await writeDurable(join(this.#options.stateDir, FILE), `${text}\n`, { mode: 0o600 });
      } catch (error) {
        this.#isWritten = false;
        throw error;
      }
    });
  }
}

const NONE: ReadonlySet<ObjectId> = new Set();

const isSame = (a: ReadonlySet<ObjectId>, b: ReadonlySet<ObjectId>): boolean =>
  a.size === b.size && [...a].every(id => b.has(id));

/** Empty when there is no such file; undefined when it is damaged. */
function readCopied({ stateDir, log }: Pick<OnceCopiedOptions, 'stateDir' | 'log'>): Copied | undefined {
  const file = join(stateDir, FILE);
  const bytes = readIfThere(file);
  if (bytes === undefined) return { sources: new Map(), logs: new Map() };
  try {
    const { sources, logs } = copiedFile.parse(JSON.parse(bytes.toString('utf8')));
    return {
      sources: new Map(
        Object.entries(sources).map(([id, copied]) => [parseSourceId(id), new Set(copied.map(parseObjectId))]),
      ),
      logs: new Map(Object.entries(logs).map(([store, seen]) => [parseStoreId(store), seen])),
    };
  } catch (error) {
    log.warn(
      { code: 'COPIED_DAMAGED', err: error, file },
      'this file is damaged and will be rewritten; nothing is cut out of the existing snapshots',
    );
    return undefined;
  }
}
