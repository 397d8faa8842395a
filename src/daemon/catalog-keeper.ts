/**
 * Catalog keeper: the heads of all sources that this host knows, with their snapshots and pages on its own disk.
 *
 * A head is believed when its origin signed it and it is newer than the one we have; it is in force only when everything
 * that it lists has been fetched and is durable, and then it is written down, durably, before the machine hears of it: so
 * a head's seq never goes back, not even over a crash (I7).
 *
 * What it lists is wanted, and what this host saw listed before stays wanted through its own `hold` (core/hold.ts): that it
 * was seen is durable before the head is in force, too.
 *
 * Of two heads with one seq the lower hash wins, everywhere; the origin, told by an alarm, goes on above both.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { decodeHead, type Head, headHash, verifyHead } from '../catalog/head.js';
import { decodePage } from '../catalog/page.js';
import { decodeSnapshot, verifySnapshot } from '../catalog/snapshot.js';
import type { KnownHead } from '../catalog/source-history.js';
import { readSnapshot } from '../catalog/walk.js';
import { ClusterError } from '../core/fault.js';
import { decideHold } from '../core/hold.js';
import { type ObjectId, type ParcelId, type PeerName, type SourceId, splitSourceId } from '../core/ids.js';
import type { HeadHint } from '../core/messages.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { Turns } from '../store/turns.js';
import type { Alarms } from './alarms.js';
import type { Unstamped } from './driver.js';
import type { Forgotten } from './forgotten.js';
import { type HeadChange, headChange, type WantedSnapshots } from './head-change.js';
import type { Roster } from './roster.js';
import { readSeen, SEEN_MAX, type SeenListed, writeSeen } from './seen-snapshots.js';

/** Pages asked of a peer at a time: it serves 8 such streams of one host, and records are asked for besides. */
const PAGES_AT_ONCE = 4;
const DAY_MS = 86_400_000;
/** A hold that could not be ended is looked at again after this, in ms. */
const AGAIN_MS = 60_000;
/** Node's timers take no more. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface CatalogKeeperOptions {
  /** STATE/catalog/heads, which exists. */
  readonly folder: string;
  readonly objects: ObjectWriter;
  /** Where snapshots and pages come from that are not here: a peer that knows the head. */
  readonly fromPeer: (peer: PeerName) => ObjectReader;
  /** What the configuration lets go; and which sources there are at all. */
  readonly forgotten: Forgotten;
  /** This host's running time: holds are counted in it. */
  readonly runMs: () => number;
  /** Somebody holds it, or may: then no re-cut takes it out of its hold. */
  readonly hasCopy: (parcel: ParcelId) => boolean;
  readonly roster: Roster;
  readonly tell: (input: Unstamped) => void;
  readonly alarms: Alarms;
  readonly log: Logger;
}

/** Told of each head that has come into force, and of each end of a hold, and of what it changed. */
export type HeadListener = (source: SourceId, change: HeadChange) => void;

export class CatalogKeeper {
  readonly objects: ObjectWriter;
  readonly #options: CatalogKeeperOptions;
  readonly #heads = new Map<SourceId, KnownHead>();
  /** Those of them that want nothing, as their source is forgotten. */
  readonly #void = new Set<SourceId>();
  /** The seq of each head on our disk, in force or not: an earlier one never replaces it. */
  readonly #floors = new Map<SourceId, number>();
  /** Head files that could not be used when they were read, until another head of their source is in force. */
  readonly #unread = new Set<string>();
  /** By the head in force. */
  readonly #wanted = new Map<SourceId, WantedSnapshots>();
  /** As they are on our disk. */
  readonly #seen = new Map<SourceId, readonly SeenListed[]>();
  /** When the next hold of a source ends, in running time. */
  readonly #nextRunMs = new Map<SourceId, number>();
  readonly #turns = new Turns<SourceId>();
  #timer: NodeJS.Timeout | undefined;
  #lettingGo: Promise<void> = Promise.resolve();
  #stopped = false;
  readonly #listeners: HeadListener[] = [];

  constructor(options: CatalogKeeperOptions) {
    this.#options = options;
    this.objects = options.objects;
  }

  /** Reads the heads that were in force before, and tells the machine what they want. */
  async open(): Promise<void> {
    const { folder, log } = this.#options;
    for (const name of await readdir(folder)) {
      const bytes = readIfThere(join(folder, name));
      if (!name.endsWith('.head') || bytes === undefined) continue;
      try {
        const head = decodeHead(bytes);
        this.#floors.set(head.source, head.seq);
        // Who holds what is not known yet.
        await this.#enforce({ head, sealed: bytes, hash: headHash(bytes) }, { recuts: false });
      } catch (error) {
        // A damaged file, or an object that is gone: the head, or a later one, comes back from any peer that has it.
        this.#unread.add(join(folder, name));
        log.error(
          { code: 'HEAD_UNREADABLE', file: name, err: error },
          'a head cannot be used; it will be asked for again',
        );
      }
    }
  }

  onHead(listener: HeadListener): void {
    this.#listeners.push(listener);
  }

  /** The head in force; undefined for a forgotten source. */
  get(source: SourceId): KnownHead | undefined {
    return this.#void.has(source) ? undefined : this.#heads.get(source);
  }

  *sources(): IterableIterator<SourceId> {
    for (const source of this.#heads.keys()) if (!this.#void.has(source)) yield source;
  }

  /** Those of which a head is known that wants nothing. */
  forgottenSources(): ReadonlySet<SourceId> {
    return this.#void;
  }

  /** All that are known, those of forgotten sources among them. */
  heads(): IterableIterator<KnownHead> {
    return this.#heads.values();
  }

  /** The snapshots whose parcels are wanted: what the head in force lists, and what is in its hold. */
  wantedSnapshots(source: SourceId): readonly ObjectId[] {
    const { listed = [], held = [] } = this.#wanted.get(source) ?? {};
    return [...listed, ...held];
  }

  /** Those of them that the head in force does not list, oldest first. */
  heldSnapshots(source: SourceId): readonly { readonly id: ObjectId; readonly timeMs: number }[] {
    const held = new Set(this.#wanted.get(source)?.held);
    const seen = held.size === 0 ? [] : this.#seenOf(source).filter(({ id }) => held.has(id));
    return [...seen].sort((a, b) => a.timeMs - b.timeMs);
  }

  /** An admin has let go what this head lists. */
  isForgotten({ source, seq }: Pick<Head, 'source' | 'seq'>): boolean {
    return this.#options.forgotten.isVoid(source, seq);
  }

  /** Some head cannot be read, or is being taken: what is wanted is not known in full, or about to change. */
  get isUnsettled(): boolean {
    return this.#unread.size > 0 || !this.#turns.isIdle;
  }

  hints(): readonly HeadHint[] {
    return [...this.#heads.values()].map(({ head, hash }) => ({ source: head.source, seq: head.seq, hash }));
  }

  /**
   * A head from a peer or a store of ours, or from our own history (`from` undefined: then all its objects are here already).
   * @throws BadSignature, MalformedObject (peer); ObjectMissing (passing)
   */
  async offer(bytes: Uint8Array, from: PeerName | ObjectReader | undefined, signal?: AbortSignal): Promise<void> {
    const { source } = decodeHead(bytes);
    await this.#turns.take(source, async () => {
      const { origin } = splitSourceId(source);
      const key = this.#options.roster.keyOf(origin);
      if (key === undefined) {
        throw new ClusterError('HEAD_OF_STRANGER', `the head of ${source} is by no member`, { blame: 'peer' });
      }
      if (!this.#options.forgotten.isSource(source)) {
        // Its configuration may be on its way to us: the head is asked for again when it is here.
        throw new ClusterError('SOURCE_UNKNOWN', `${source} is not in the configuration`, { blame: 'passing' });
      }
      const head = verifyHead(bytes, key);
      const hash = headHash(bytes);
      const known = this.#heads.get(source);
      const isVoid = this.#options.forgotten.isVoid(source, head.seq);
      if (head.seq < (this.#floors.get(source) ?? 0)) return;
      if (known?.hash === hash && this.#void.has(source) === isVoid) return;
      if (known !== undefined && known.head.seq === head.seq) {
        this.#options.alarms.raise(
          'HEAD_FORKED',
          source,
          `source ${source} has two heads with number ${head.seq}: was its origin restored from an old image?`,
        );
        if (known.hash < hash) return;
      }
      if (isVoid) {
        await this.#enforce({ head, sealed: bytes, hash }, { recuts: false });
        return;
      }
      const reader = typeof from === 'string' ? this.#options.fromPeer(from) : from;
      const listed = head.snapshots.map(({ id }) => id);
      const had = new Set(this.get(source)?.head.snapshots.map(({ id }) => id));
      const fetching = { source, reader, key, signal };
      await this.#fetchObjects(
        listed.filter(id => !had.has(id)),
        fetching,
      );
      await this.objects.flush();
      try {
        await this.#enforce({ head, sealed: bytes, hash }, { recuts: true });
      } catch (error) {
        if (reader === undefined || !(error instanceof ClusterError) || error.code !== 'OBJECT_MISSING') throw error;
        // An object that we had is lost: everything that is wanted is looked for, not only what is new.
        const seen = this.#seenOf(source).map(({ id }) => id);
        await this.#fetchObjects(new Set([...listed, ...seen]), fetching);
        await this.objects.flush();
        await this.#enforce({ head, sealed: bytes, hash }, { recuts: true });
      }
    });
  }

  /**
   * Heads, snapshots and pages into another catalog (a store's own), durably.
   * @param complete snapshots that should be there with all their pages: those of the head that is kept there. They are read, and of
   *   the pages the names are looked at, for a disk loses some
   */
  async copyTo(
    source: SourceId,
    target: ObjectWriter,
    complete: ReadonlySet<ObjectId>,
  ): Promise<KnownHead | undefined> {
    const known = this.get(source);
    if (known === undefined) return undefined;
    const absent: ObjectId[] = [];
    const there = new Set<ObjectId>();
    for (const { id } of known.head.snapshots)
      if (!complete.has(id) || !(await isWhole(id, target, there))) absent.push(id);
    for (const id of absent) {
      const { pages } = verifySnapshot(await this.#need(id), this.#keyOf(source));
      for (const page of pages) if (!(await target.has(page))) await target.put(await this.#need(page));
    }
    await target.flush();
    for (const id of absent) await target.put(await this.#need(id));
    await target.flush();
    return known;
  }

  #keyOf(source: SourceId): Uint8Array {
    const key = this.#options.roster.keyOf(splitSourceId(source).origin);
    if (key === undefined) throw new ClusterError('HEAD_OF_STRANGER', `${source} is no member's`, { blame: 'passing' });
    return key;
  }

  async #need(id: ObjectId): Promise<Uint8Array> {
    const bytes = await this.objects.get(id);
    if (bytes === undefined) {
      throw new ClusterError('OBJECT_MISSING', `catalog object ${id} is missing here; it will be asked for again`, {
        blame: 'passing',
      });
    }
    return bytes;
  }

  /** Those of these snapshots, and of their pages, that are not here; nothing when there is no reader. */
  async #fetchObjects(
    snapshots: Iterable<ObjectId>,
    {
      source,
      reader,
      key,
      signal,
    }: {
      readonly source: SourceId;
      readonly reader: ObjectReader | undefined;
      readonly key: Uint8Array;
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<void> {
    if (reader === undefined) return;
    for (const id of snapshots) {
      signal?.throwIfAborted();
      const sealed = await this.#fetchObject(id, reader);
      const snapshot = verifySnapshot(sealed, key);
      if (snapshot.source !== source) {
        throw new ClusterError('FOREIGN_SNAPSHOT', `the head of ${source} lists a snapshot of ${snapshot.source}`, {
          blame: 'peer',
        });
      }
      for (let at = 0; at < snapshot.pages.length; at += PAGES_AT_ONCE) {
        signal?.throwIfAborted();
        const pages = snapshot.pages.slice(at, at + PAGES_AT_ONCE);
        await Promise.all(pages.map(async page => decodePage(await this.#fetchObject(page, reader))));
      }
    }
  }

  async #fetchObject(id: ObjectId, reader: ObjectReader): Promise<Uint8Array> {
    const here = await this.objects.get(id);
    if (here !== undefined) return here;
    const bytes = await reader.get(id);
    if (bytes === undefined) {
      throw new ClusterError('OBJECT_MISSING', `the peer that told of a head lacks its object ${id}`, {
        blame: 'passing',
      });
    }
    await this.objects.put(bytes);
    return bytes;
  }

  /** `recuts`: what a re-cut took the place of may be let go. */
  async #enforce(known: KnownHead, { recuts }: { readonly recuts: boolean }): Promise<void> {
    const { head, sealed, hash } = known;
    const { source, seq } = head;
    const isVoid = this.#options.forgotten.isVoid(source, seq);
    const listed = isVoid ? [] : head.snapshots.map(({ id }) => id);
    const saw = isVoid ? [] : await this.#sawListed(head);
    const hold = {
      runMs: this.#options.runMs(),
      listed: new Set(listed),
      isReleased: (snapshot: ObjectId) => this.#options.forgotten.isReleased(snapshot),
    };
    let verdict = decideHold({ ...hold, seen: saw });
    const released = new Set(verdict.release.map(({ id }) => id));
    if (recuts) {
      const held = verdict.held.map(({ id }) => id);
      for (const id of await this.#recutWithoutCopy(head, saw, { listed, held })) released.add(id);
    }
    const seen = saw.filter(({ id }) => !released.has(id));
    verdict = decideHold({ ...hold, seen });
    const wanted = { listed, held: verdict.held.map(({ id }) => id) };
    const change = await headChange(this.objects, this.#wanted.get(source), wanted);

    // What was seen first: a head that is in force and whose snapshots were not seen would be one that holds nothing.
    await this.#keepSeen(source, seen);
    const file = this.#file(source, 'head');
    const onDisk = readIfThere(file);
    if (onDisk === undefined || !onDisk.equals(sealed)) await writeDurable(file, sealed, { mode: 0o600 });
    this.#heads.set(source, known);
    if (isVoid) this.#void.add(source);
    else this.#void.delete(source);
    this.#unread.delete(file);
    this.#floors.set(source, seq);
    this.#wanted.set(source, wanted);
    this.#nextRunMs.set(source, verdict.nextRunMs);
    this.#arm();
    this.#options.tell({ is: 'wanted', source, head: { source, seq, hash }, ...change });
    for (const listener of this.#listeners) listener(source, change);
  }

  // ------------------------------------------------------------------------------------------------------------- holds

  /**
   * The configuration has changed: it may have let sources and snapshots go; or it has a source again, as when another branch of it won.
   * What that one's head lists may be gone from here: then any peer that tells of the head gives it.
   */
  async reconsider(): Promise<void> {
    const { forgotten, runMs } = this.#options;
    for (const [source, { head }] of this.#heads) {
      const isVoid = forgotten.isVoid(source, head.seq);
      if (this.#void.has(source) !== isVoid || this.#wanted.get(source)?.held.some(id => forgotten.isReleased(id)))
        this.#nextRunMs.set(source, runMs());
    }
    await this.#letGoInTurn();
  }

  /** Lets go of the snapshots whose hold has run out. Its own timer calls it when it is time; a call too many does nothing. */
  async letGo(): Promise<void> {
    for (const source of this.#nextRunMs.keys()) {
      try {
        await this.#turns.take(source, async () => {
          const known = this.#heads.get(source);
          const dueRunMs = this.#nextRunMs.get(source) ?? Number.POSITIVE_INFINITY;
          if (known !== undefined && this.#options.runMs() >= dueRunMs) await this.#enforce(known, { recuts: false });
        });
      } catch (error) {
        this.#options.log.error(
          { code: 'HOLD_NOT_ENDED', source, err: error },
          'what is wanted of a source could not be judged anew; nothing was let go, and it is looked at again',
        );
        this.#nextRunMs.set(source, this.#options.runMs() + AGAIN_MS);
      }
    }
    this.#arm();
  }

  /** Nothing is written of holds after this. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#lettingGo;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const nextRunMs = Math.min(Number.POSITIVE_INFINITY, ...this.#nextRunMs.values());
    if (this.#stopped || nextRunMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(0, Math.ceil(nextRunMs - this.#options.runMs())));
    this.#timer = setTimeout(() => void this.#letGoInTurn(), delayMs).unref();
  }

  /** What `stop` waits for; after it, nothing. */
  #letGoInTurn(): Promise<void> {
    this.#lettingGo = this.#lettingGo.then(() => (this.#stopped ? undefined : this.letGo()));
    return this.#lettingGo;
  }

  /** All that was seen listed so far, by this head too. */
  async #sawListed({ source, snapshots }: Head): Promise<readonly SeenListed[]> {
    const seen = [...this.#seenOf(source)];
    const known = new Set(seen.map(({ id }) => id));
    const seenRunMs = Math.floor(this.#options.runMs());
    for (const { id, timeMs } of snapshots) {
      if (known.has(id)) continue;
      const { holdDays } = await readSnapshot(this.objects, id);
      seen.push({ id, timeMs, holdMs: holdDays * DAY_MS, seenRunMs });
    }
    if (seen.length > SEEN_MAX) {
      const why = `source ${source} has listed ${seen.length} snapshots whose hold has not run out (at most ${SEEN_MAX}): its newer heads are not taken; is its origin itself?`;
      this.#options.alarms.raise('HOLDS_FULL', source, why);
      throw new ClusterError('HOLDS_FULL', why, { blame: 'peer' });
    }
    this.#options.alarms.clear('HOLDS_FULL', source);
    return seen;
  }

  /**
   * A re-cut takes out of a snapshot what nobody can give any more, and takes its place at the same time. What was cut out
   * would stay wanted, in vain, for as long as the hold; so the old one is let go if nobody holds what it alone has: there
   * is no copy that the hold could keep. Were there one, a hijacked origin could make "re-cuts" to be rid of it.
   */
  async #recutWithoutCopy(
    head: Head,
    saw: readonly SeenListed[],
    wanted: WantedSnapshots,
  ): Promise<readonly ObjectId[]> {
    const timeOf = new Map(saw.map(({ id, timeMs }) => [id, timeMs]));
    const released: ObjectId[] = [];
    for (const id of wanted.held) {
      if (!(await this.#hasRecutAt(head, timeOf.get(id)))) continue;
      const before = wanted.held.filter(other => !released.includes(other));
      const { remove } = await headChange(
        this.objects,
        { ...wanted, held: before },
        { ...wanted, held: before.filter(other => other !== id) },
      );
      if (!remove.some(parcel => this.#options.hasCopy(parcel))) released.push(id);
    }
    return released;
  }

  async #hasRecutAt({ snapshots }: Head, at: number | undefined): Promise<boolean> {
    for (const { id, timeMs } of snapshots) {
      if (timeMs === at && (await readSnapshot(this.objects, id)).recutOf !== undefined) return true;
    }
    return false;
  }

  #seenOf(source: SourceId): readonly SeenListed[] {
    let seen = this.#seen.get(source);
    if (seen !== undefined) return seen;
    try {
      seen = readSeen(this.#file(source, 'seen'), this.#options.runMs());
    } catch (error) {
      this.#options.log.error({ code: 'HOLDS_DAMAGED', source, err: error }, 'what was seen listed cannot be read');
      this.#options.alarms.raise(
        'HOLDS_DAMAGED',
        source,
        `which snapshots of ${source} are in their hold cannot be read: of what its head does not list any more, nothing is held beyond gcGrace`,
      );
      seen = [];
    }
    this.#seen.set(source, seen);
    return seen;
  }

  async #keepSeen(source: SourceId, seen: readonly SeenListed[]): Promise<void> {
    const before = this.#seenOf(source);
    const had = new Set(before.map(({ id }) => id));
    if (before.length === seen.length && seen.every(({ id }) => had.has(id))) return;
    await writeSeen(this.#file(source, 'seen'), seen);
    this.#seen.set(source, seen);
  }

  #file(source: SourceId, kind: 'head' | 'seen'): string {
    const { origin, source: name } = splitSourceId(source);
    return join(this.#options.folder, `${origin}-${name}.${kind}`);
  }
}

/** `there`: pages that were looked for already; snapshots share most of theirs. */
async function isWhole(id: ObjectId, objects: ObjectWriter, there: Set<ObjectId>): Promise<boolean> {
  const sealed = await objects.get(id);
  if (sealed === undefined) return false;
  for (const page of decodeSnapshot(sealed).pages) {
    if (there.has(page)) continue;
    if (!(await objects.has(page))) return false;
    there.add(page);
  }
  return true;
}
