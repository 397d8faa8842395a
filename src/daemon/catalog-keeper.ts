/**
 * Catalog keeper: the heads of all sources that this host knows, with their snapshots and pages on its own disk.
 *
 * A head is believed when its origin signed it and it is newer than the one we have; it is in force only when everything
 * that it lists has been fetched and is durable, and then it is written down, durably, before the machine hears of it: so
 * a head's seq never goes back, not even over a crash (I7).
 *
 * What it lists is wanted, and what this host saw listed before stays wanted through its own `hold` (core/hold.ts): that it
 * was seen is durable before the head is in force, too. What is held and has lost an object that nobody has keeps no head out: it
 * is wanted as far as it can be read.
 *
 * Of two heads with one seq the lower hash wins, everywhere, and an alarm says so until the origin's answer, with what both list, is
 * in force.
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
import { withDeadline } from '../net/deadline.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { TIMER_MS_MAX } from '../platform/long-timer.js';
import { Turns } from '../store/turns.js';
import type { Alarms } from './alarms.js';
import type { Unstamped } from './driver.js';
import type { Forgotten } from './forgotten.js';
import { type HeadChange, headChange, type WantedBefore, type WantedSnapshots } from './head-change.js';
import type { Revocations } from './revocations.js';
import type { Roster } from './roster.js';
import { readSeen, SEEN_MAX, type SeenListed, writeSeen } from './seen-snapshots.js';

/** Pages asked of a peer at a time: it serves 8 such streams of one host, and records are asked for besides. */
const PAGES_AT_ONCE = 4;
const DAY_MS = 86_400_000;
/** A hold that could not be ended, or of which something is lost, is looked at again after this, in ms. */
const AGAIN_MS = 60_000;
/** For what is lost of one source, in ms: its newer heads wait for it. */
const SEEK_MS_MAX = 30_000;
/** Snapshots that an alarm names. */
const LACKING_TOLD = 3;

export interface CatalogKeeperOptions {
  /** STATE/catalog/heads, which exists. */
  readonly folder: string;
  readonly objects: ObjectWriter;
  /** Where snapshots and pages come from that are not here: a peer that knows the head. */
  readonly fromPeer: (peer: PeerName) => ObjectReader;
  /** The same from whoever is there. */
  readonly find: (object: ObjectId, signal: AbortSignal) => Promise<Uint8Array | undefined>;
  /** What the configuration lets go; and which sources there are at all. */
  readonly forgotten: Forgotten;
  /** This host's running time: holds are counted in it. */
  readonly runMs: () => number;
  /**
   * Somebody says that he holds it, or may: then no re-cut takes it out of its hold. Whether audits of it failed does not
   * matter, for a hijacked origin may say so of any copy.
   */
  readonly hasCopy: (parcel: ParcelId) => boolean;
  readonly roster: Roster;
  readonly revocations: Revocations;
  readonly tell: (input: Unstamped) => void;
  readonly alarms: Alarms;
  readonly log: Logger;
}

/** Where to look for objects of held snapshots that are lost here: at this peer, then everywhere. */
interface Seek {
  readonly reader: ObjectReader | undefined;
  readonly signal: AbortSignal | undefined;
}

interface Judged {
  readonly wanted: WantedBefore;
  readonly change: HeadChange;
  /** Snapshots in their hold of which an object is lost everywhere, as far as it was looked for. */
  readonly lacking: readonly ObjectId[];
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
  readonly #wanted = new Map<SourceId, WantedBefore>();
  /** As they are on our disk. */
  readonly #seen = new Map<SourceId, readonly SeenListed[]>();
  /** Sources that had two heads of one number, and all that they list: a later head that lists it too is the origin's answer. */
  readonly #forks = new Map<SourceId, { readonly seq: number; readonly listed: ReadonlySet<ObjectId> }>();
  /** Sources with a snapshot in its hold of which an object is lost here. */
  readonly #lacking = new Set<SourceId>();
  /** When the next hold of a source ends, in running time. */
  readonly #nextRunMs = new Map<SourceId, number>();
  readonly #turns = new Turns<SourceId>();
  #timer: NodeJS.Timeout | undefined;
  #lettingGo: Promise<void> = Promise.resolve();
  readonly #end = new AbortController();
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
        await this.#enforce({ head, sealed: bytes, hash: headHash(bytes) }, { recuts: false, seek: undefined });
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

  /** The sealed head on our disk, whether it could be put in force or not. */
  onDisk(source: SourceId): Uint8Array | undefined {
    return readIfThere(this.#file(source, 'head'));
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
   * @throws BadSignature, MalformedObject, HEAD_OF_STRANGER, HEAD_OF_REVOKED (peer); SOURCE_UNKNOWN, ObjectMissing (passing);
   * HEAD_BEHIND (operator) for one of our own history
   */
  async offer(bytes: Uint8Array, from: PeerName | ObjectReader | undefined, signal?: AbortSignal): Promise<void> {
    const { source } = decodeHead(bytes);
    await this.#turns.take(source, async () => {
      const key = this.#keyOf(source);
      if (!this.#options.forgotten.isSource(source)) {
        // Its configuration may be on its way to us: the head is asked for again when it is here.
        throw new ClusterError('SOURCE_UNKNOWN', `${source} is not in the configuration`, { blame: 'passing' });
      }
      const head = verifyHead(bytes, key);
      const hash = headHash(bytes);
      const known = this.#heads.get(source);
      const isVoid = this.#options.forgotten.isVoid(source, head.seq);
      const floor = this.#floors.get(source) ?? 0;
      if (head.seq < floor) {
        if (from !== undefined) return;
        throw new ClusterError(
          'HEAD_BEHIND',
          `head ${head.seq} of ${source} is not in force: ${this.#file(source, 'head')} has head ${floor}. All snapshots are kept; if that file is not this host's own word, stop the service, move the file away and start it again`,
          { blame: 'operator' },
        );
      }
      if (known?.hash === hash && this.#void.has(source) === isVoid) return;
      const isLast = this.#isLastOfRevoked(head, hash);
      if (known !== undefined && known.head.seq === head.seq && known.hash !== hash) {
        // An admin has said which one stands.
        if (isLast) this.#endFork(source);
        else {
          this.#noteFork(known.head, head);
          if (known.hash < hash) return;
        }
      }
      if (isVoid) {
        await this.#enforce({ head, sealed: bytes, hash }, { recuts: false, seek: undefined });
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
      const enforce = () => this.#enforce({ head, sealed: bytes, hash }, { recuts: true, seek: { reader, signal } });
      try {
        await enforce();
      } catch (error) {
        if (reader === undefined || !(error instanceof ClusterError) || error.code !== 'OBJECT_MISSING') throw error;
        // An object that we had is lost: everything that is listed is looked for, not only what is new.
        await this.#fetchObjects(listed, fetching);
        await this.objects.flush();
        await enforce();
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

  /** By which its heads and snapshots are signed: that of its origin, also of a revoked one. */
  #keyOf(source: SourceId): Uint8Array {
    const { origin } = splitSourceId(source);
    const key = this.#options.roster.keyOf(origin) ?? this.#options.revocations.keyOf(origin);
    if (key === undefined)
      throw new ClusterError('HEAD_OF_STRANGER', `${source} is of no member, and of none that was one`, {
        blame: 'peer',
      });
    return key;
  }

  /**
   * Its origin is revoked, and this is the last head of the source that stays valid: no other one of its number goes before it.
   * @throws HEAD_OF_REVOKED for a later one, or another one of its number
   */
  #isLastOfRevoked({ source, seq }: Head, hash: string): boolean {
    const { roster, revocations } = this.#options;
    const { origin } = splitSourceId(source);
    if (roster.keyOf(origin) !== undefined) return false;
    const last = revocations.lastHead(source);
    if (last?.hash === hash) return true;
    if (last !== undefined && seq < last.seq) return false;
    const valid = last === undefined ? 'none of its heads is' : `head ${last.seq} is the last one that is`;
    throw new ClusterError(
      'HEAD_OF_REVOKED',
      `head ${seq} of ${source} is not valid, for ${roster.nameOf(origin)} was revoked: ${valid}; what is held stays`,
      { blame: 'peer' },
    );
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
  async #enforce(
    known: KnownHead,
    { recuts, seek }: { readonly recuts: boolean; readonly seek: Seek | undefined },
  ): Promise<void> {
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
    const { wanted, change, lacking } = await this.#judge(
      source,
      { listed, held: verdict.held.map(({ id }) => id) },
      seek,
    );

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
    if (isVoid || this.#answersFork(head)) this.#endFork(source);
    this.#tellLacking(source, lacking, { isAsked: seek !== undefined });
    const againRunMs = lacking.length === 0 ? Number.POSITIVE_INFINITY : hold.runMs + AGAIN_MS;
    this.#nextRunMs.set(source, Math.min(verdict.nextRunMs, againRunMs));
    this.#arm();
    this.#options.tell({ is: 'wanted', source, head: { source, seq, hash }, ...change });
    for (const listener of this.#listeners) listener(source, change);
  }

  /** What the snapshots change; those whose own object is lost are left out until it is found. */
  async #judge(source: SourceId, snapshots: WantedSnapshots, seek: Seek | undefined): Promise<Judged> {
    const before = this.#wanted.get(source);
    const { change, lost } = await headChange(this.objects, before, snapshots);
    if (lost.size === 0 && !this.#lacking.has(source)) return { wanted: { ...snapshots, lost }, change, lacking: [] };
    const lacking = await this.#seek(snapshots.held, seek);
    const wanted = { ...snapshots, held: snapshots.held.filter(id => lacking.get(id) !== 'all') };
    const again = await headChange(this.objects, before, wanted);
    return { wanted: { ...wanted, lost: again.lost }, change: again.change, lacking: [...lacking.keys()] };
  }

  /** Looks for what is lost of held snapshots. @returns those that lack something still: a page, or all, as nobody knows which */
  async #seek(held: readonly ObjectId[], seek: Seek | undefined): Promise<ReadonlyMap<ObjectId, 'page' | 'all'>> {
    const lacking = new Map<ObjectId, 'page' | 'all'>();
    const looked = new Map<ObjectId, boolean>();
    await withDeadline(SEEK_MS_MAX, [seek?.signal, this.#end.signal], async until => {
      const isHere = async (id: ObjectId): Promise<boolean> => {
        const is =
          looked.get(id) ?? ((await this.objects.get(id)) !== undefined || (await this.#sought(id, seek, until)));
        looked.set(id, is);
        return is;
      };
      for (const id of held) {
        if (!(await isHere(id))) {
          lacking.set(id, 'all');
          continue;
        }
        for (const page of (await readSnapshot(this.objects, id)).pages)
          if (!(await isHere(page))) lacking.set(id, 'page');
      }
    });
    await this.objects.flush();
    return lacking;
  }

  /** @returns whether it was found, and is here now */
  async #sought(id: ObjectId, seek: Seek | undefined, until: AbortSignal): Promise<boolean> {
    if (seek === undefined) return false;
    const places = [() => seek.reader?.get(id), () => this.#options.find(id, until)];
    for (const place of places) {
      if (until.aborted) break;
      try {
        const bytes = await place();
        if (bytes === undefined) continue;
        await this.objects.put(bytes);
        return true;
      } catch (error) {
        seek.signal?.throwIfAborted();
        // Another may have it, and it is looked for again.
        this.#options.log.debug({ code: 'OBJECT_NOT_READ', object: id, err: error }, 'a lost object was not found');
      }
    }
    return false;
  }

  /** `isAsked`: those who are there were. */
  #tellLacking(source: SourceId, lacking: readonly ObjectId[], { isAsked }: { readonly isAsked: boolean }): void {
    if (lacking.length === 0) {
      if (this.#lacking.delete(source)) this.#options.alarms.clear('HELD_LOST', source);
      return;
    }
    this.#lacking.add(source);
    if (!isAsked) return;
    const named = lacking.slice(0, LACKING_TOLD).map(id => id.slice(0, 8));
    const ids = [...named, ...(lacking.length > named.length ? ['…'] : [])].join(', ');
    this.#options.alarms.raise(
      'HELD_LOST',
      source,
      `source ${source}: of snapshots that are listed no more and still held (${ids}) a part of the catalog is lost, here and on every host that is up; what nothing else leads to is held for gcGrace and no longer. Switch on the hosts that are off: it is looked for every minute`,
    );
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
          if (known !== undefined && this.#options.runMs() >= dueRunMs)
            await this.#enforce(known, { recuts: false, seek: { reader: undefined, signal: undefined } });
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
    this.#end.abort();
    clearTimeout(this.#timer);
    await this.#lettingGo;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const nextRunMs = Math.min(Number.POSITIVE_INFINITY, ...this.#nextRunMs.values());
    if (this.#end.signal.aborted || nextRunMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(0, Math.ceil(nextRunMs - this.#options.runMs())));
    this.#timer = setTimeout(() => void this.#letGoInTurn(), delayMs).unref();
  }

  /** What `stop` waits for; after it, nothing. */
  #letGoInTurn(): Promise<void> {
    this.#lettingGo = this.#lettingGo.then(() => (this.#end.signal.aborted ? undefined : this.letGo()));
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
      const { change, lost } = await headChange(
        this.objects,
        { ...wanted, held: before, lost: new Set() },
        { ...wanted, held: before.filter(other => other !== id) },
      );
      const pages = lost.has(id) ? [] : (await readSnapshot(this.objects, id)).pages;
      // Of what cannot be read nobody knows whether somebody holds it.
      if (lost.has(id) || pages.some(page => lost.has(page))) continue;
      if (!change.remove.some(parcel => this.#options.hasCopy(parcel))) released.push(id);
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

  #noteFork(one: Head, other: Head): void {
    const { source, seq } = one;
    const both = [...one.snapshots, ...other.snapshots].map(({ id }) => id);
    this.#forks.set(source, { seq, listed: new Set([...(this.#forks.get(source)?.listed ?? []), ...both]) });
    this.#options.alarms.raise(
      'HEAD_FORKED',
      source,
      `source ${source} has two heads with number ${seq}: was its origin restored from an old image?`,
    );
  }

  #answersFork({ source, seq, snapshots }: Head): boolean {
    const fork = this.#forks.get(source);
    const listed = new Set(snapshots.map(({ id }) => id));
    return fork !== undefined && seq > fork.seq && [...fork.listed].every(id => listed.has(id));
  }

  #endFork(source: SourceId): void {
    if (this.#forks.delete(source)) this.#options.alarms.clear('HEAD_FORKED', source);
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
