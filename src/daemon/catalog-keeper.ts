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
 * Only an admin turns it back, who revokes the origin: then the last head that stays valid takes the place of a later one. Until
 * it is here the later one stays in force, and nobody else is told of it; what it alone lists stays wanted through its hold.
 *
 * Of two heads with one seq the lower hash wins, everywhere, and an alarm says so until the origin's answer, with what both list, is
 * in force.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { decodeHead, type Head, headHash, verifyHead } from '../catalog/head.js';
import type { KnownHead } from '../catalog/source-history.js';
import { ClusterError } from '../core/fault.js';
import { type ObjectId, type ParcelId, type PeerName, type SourceId, splitSourceId } from '../core/ids.js';
import type { HeadHint } from '../core/messages.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import { replacesHead } from '../core/own-heads.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { TIMER_MS_MAX } from '../platform/long-timer.js';
import { Turns } from '../store/turns.js';
import type { Alarms } from './alarms.js';
import type { Unstamped } from './driver.js';
import type { Forgotten } from './forgotten.js';
import { type HeadChange, headChange, type WantedBefore, type WantedSnapshots } from './head-change.js';
import { HeadForks } from './head-forks.js';
import { HeadObjects, type Seek } from './head-objects.js';
import { HeadSigners } from './head-signers.js';
import { HeldSnapshots } from './held-snapshots.js';
import type { Revocations } from './revocations.js';
import type { Roster } from './roster.js';

/** A hold that could not be ended, or of which something is lost, is looked at again after this, in ms. */
const AGAIN_MS = 60_000;
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
  /** Sources with a snapshot in its hold of which an object is lost here. */
  readonly #lacking = new Set<SourceId>();
  /** When the next hold of a source ends, in running time. */
  readonly #nextRunMs = new Map<SourceId, number>();
  readonly #turns = new Turns<SourceId>();
  #timer: NodeJS.Timeout | undefined;
  #lettingGo: Promise<void> = Promise.resolve();
  readonly #end = new AbortController();
  readonly #listeners: HeadListener[] = [];
  readonly #signers: HeadSigners;
  readonly #held: HeldSnapshots;
  readonly #headObjects: HeadObjects;
  readonly #forks: HeadForks;

  constructor(options: CatalogKeeperOptions) {
    this.#options = options;
    this.objects = options.objects;
    this.#signers = new HeadSigners(options);
    this.#held = new HeldSnapshots({ ...options, fileOf: source => this.#file(source, 'seen') });
    this.#headObjects = new HeadObjects({ ...options, signal: this.#end.signal });
    this.#forks = new HeadForks(options.alarms);
  }

  /** Reads the heads that were in force before, and tells the machine what they want. */
  async open(): Promise<void> {
    const { folder, log } = this.#options;
    for (const name of await readdir(folder)) {
      const bytes = readIfThere(join(folder, name));
      if (!name.endsWith('.head') || bytes === undefined) continue;
      try {
        const head = this.#read(bytes);
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

  /** All that are known and valid, those of forgotten sources among them. */
  *heads(): IterableIterator<KnownHead> {
    for (const known of this.#heads.values()) if (!this.#isVoided(known)) yield known;
  }

  /** The snapshots whose parcels are wanted: what the head in force lists, and what is in its hold. */
  wantedSnapshots(source: SourceId): readonly ObjectId[] {
    const { listed = [], held = [] } = this.#wanted.get(source) ?? {};
    return [...listed, ...held];
  }

  /** Those of them that the head in force does not list, oldest first. */
  heldSnapshots(source: SourceId): readonly { readonly id: ObjectId; readonly timeMs: number }[] {
    const held = new Set(this.#wanted.get(source)?.held);
    const seen = held.size === 0 ? [] : this.#held.seenOf(source).filter(({ id }) => held.has(id));
    return [...seen].sort((a, b) => a.timeMs - b.timeMs);
  }

  /** How many more snapshots of the source a head may list that lists these, for what is in its hold; below 0 where these are too many. */
  roomBeside(source: SourceId, listed: readonly ObjectId[]): number {
    return this.#held.roomBeside(source, listed);
  }

  /** What is wanted of a source is all known: its head is in force, and nothing in its hold is lost here. */
  isKnownInFull(source: SourceId): boolean {
    return this.get(source) !== undefined && !this.#lacking.has(source);
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
    return [...this.heads()].map(({ head, hash }) => ({ source: head.source, seq: head.seq, hash }));
  }

  /**
   * A head from a peer or a store of ours, or from our own history (`from` undefined: then all its objects are here already).
   * @throws BadSignature, MalformedObject, HEAD_OF_STRANGER, HEAD_OF_REVOKED (peer); SOURCE_UNKNOWN, ObjectMissing (passing);
   * HEAD_BEHIND (operator) for one of our own history
   */
  async offer(bytes: Uint8Array, from: PeerName | ObjectReader | undefined, signal?: AbortSignal): Promise<void> {
    const { source } = decodeHead(bytes);
    await this.#turns.take(source, async () => {
      const key = this.#signers.needKey(source);
      if (!this.#options.forgotten.isSource(source)) {
        // Its configuration may be on its way to us: the head is asked for again when it is here.
        throw new ClusterError('SOURCE_UNKNOWN', `${source} is not in the configuration`, { blame: 'passing' });
      }
      const head = verifyHead(bytes, key);
      const hash = headHash(bytes);
      const known = this.#heads.get(source);
      const isVoid = this.#options.forgotten.isVoid(source, head.seq);
      const floor = this.#floors.get(source) ?? 0;
      const isTurnedBack = head.seq < floor && this.#signers.isLastOfRevoked(head, hash);
      if (head.seq < floor && !isTurnedBack) {
        if (from !== undefined) return;
        throw new ClusterError(
          'HEAD_BEHIND',
          `head ${head.seq} of ${source} is not in force: ${this.#file(source, 'head')} has head ${floor}. All snapshots are kept; if that file is not this host's own word, stop the service, move the file away and start it again`,
          { blame: 'operator' },
        );
      }
      if (known?.hash === hash && this.#void.has(source) === isVoid) return;
      const isLast = this.#signers.isLastOfRevoked(head, hash);
      if (known !== undefined && known.head.seq === head.seq && known.hash !== hash) {
        // An admin has said which one stands.
        if (isLast) this.#forks.end(source);
        else {
          this.#forks.note(known.head, head);
          if (!replacesHead({ seq: head.seq, hash }, { seq: known.head.seq, hash: known.hash })) return;
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
      await this.#headObjects.fetch(
        listed.filter(id => !had.has(id)),
        fetching,
      );
      await this.objects.flush();
      const enforce = () =>
        this.#enforce({ head, sealed: bytes, hash }, { recuts: !isTurnedBack, seek: { reader, signal } });
      try {
        await enforce();
      } catch (error) {
        if (reader === undefined || !(error instanceof ClusterError) || error.code !== 'OBJECT_MISSING') throw error;
        // An object that we had is lost: everything that is listed is looked for, not only what is new.
        await this.#headObjects.fetch(listed, fetching);
        await this.objects.flush();
        await enforce();
      }
    });
  }

  /**
   * What the head in force lists, into another catalog (a store's own), durably.
   * @param complete snapshots that should be there with all their pages: those of the head that is kept there
   * @returns the head; undefined where none is in force
   */
  async copyTo(
    source: SourceId,
    target: ObjectWriter,
    complete: ReadonlySet<ObjectId>,
  ): Promise<KnownHead | undefined> {
    const known = this.get(source);
    if (known === undefined) return undefined;
    const listed = known.head.snapshots.map(({ id }) => id);
    await this.#headObjects.copy(listed, target, { key: () => this.#signers.needKey(source), complete });
    return known;
  }

  /** Of a head file: rot may leave what can be decoded, with another number, say. @throws MalformedObject, BadSignature */
  #read(sealed: Uint8Array): Head {
    const head = decodeHead(sealed);
    const key = this.#signers.keyOf(head.source);
    return key === undefined ? head : verifyHead(sealed, key);
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
    const { seen, held, nextRunMs } = await this.#held.judge(isVoid ? undefined : head, { recuts });
    const { wanted, change, lacking } = await this.#judge(source, { listed, held }, seek);

    // What was seen first: a head that is in force and whose snapshots were not seen would be one that holds nothing.
    await this.#held.keep(source, seen);
    const file = this.#file(source, 'head');
    const onDisk = readIfThere(file);
    if (onDisk === undefined || !onDisk.equals(sealed)) await writeDurable(file, sealed, { mode: 0o600 });
    this.#heads.set(source, known);
    if (isVoid) this.#void.add(source);
    else this.#void.delete(source);
    this.#unread.delete(file);
    this.#floors.set(source, seq);
    this.#wanted.set(source, wanted);
    if (isVoid || this.#forks.isAnswer(head)) this.#forks.end(source);
    this.#tellLacking(source, lacking, { isAsked: seek !== undefined });
    const againRunMs = lacking.length === 0 ? Number.POSITIVE_INFINITY : this.#options.runMs() + AGAIN_MS;
    this.#nextRunMs.set(source, Math.min(nextRunMs, againRunMs));
    this.#arm();
    this.#options.tell({ is: 'wanted', source, head: { source, seq, hash }, ...change });
    for (const listener of this.#listeners) listener(source, change);
  }

  /** What the snapshots change; those whose own object is lost are left out until it is found. */
  async #judge(source: SourceId, snapshots: WantedSnapshots, seek: Seek | undefined): Promise<Judged> {
    const before = this.#wanted.get(source);
    const { change, lost } = await headChange(this.objects, before, snapshots);
    if (lost.size === 0 && !this.#lacking.has(source)) return { wanted: { ...snapshots, lost }, change, lacking: [] };
    const lacking = await this.#headObjects.seek(snapshots.held, seek);
    const wanted = { ...snapshots, held: snapshots.held.filter(id => lacking.get(id) !== 'all') };
    const again = await headChange(this.objects, before, wanted);
    return { wanted: { ...wanted, lost: again.lost }, change: again.change, lacking: [...lacking.keys()] };
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

  /** Nothing is written after this. What is read from a peer for a head ends by the signal that the head was offered with. */
  async stop(): Promise<void> {
    this.#end.abort();
    clearTimeout(this.#timer);
    await this.#lettingGo;
    await this.#turns.allDone();
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

  #isVoided({ head, hash }: KnownHead): boolean {
    return this.#signers.isVoided(head, hash);
  }

  #file(source: SourceId, kind: 'head' | 'seen'): string {
    const { origin, source: name } = splitSourceId(source);
    return join(this.#options.folder, `${origin}-${name}.${kind}`);
  }
}
