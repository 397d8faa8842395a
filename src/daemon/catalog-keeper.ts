/**
 * Catalog keeper: the heads of all sources that this host knows, with their snapshots and pages on its own disk.
 *
 * A head is believed when its origin signed it and it is newer than the one known so far. It is in force only once
 * everything that it lists has been fetched and is durable; then the head itself is written durably, before the
 * machine hears of it. So a head's seq never goes back, not even over a crash (I7).
 *
 * What the head lists is wanted, and what this host saw listed before stays wanted through its own `hold`
 * (core/hold.ts). That it was seen is also durable before the head is in force. A held snapshot that has lost an
 * object which nobody has does not keep a head out of force: the snapshot is wanted as far as it can be read.
 *
 * Only an admin who shuts out a key of the origin can turn a head back: the last head of that key which stays valid, or
 * one with the origin's present key, then replaces a later one. Until such a head is here, the later one stays in force,
 * and no other host but the origin is told of it; what only the later head lists stays wanted through its hold, which
 * begins anew, and a person is told.
 *
 * Of two heads with one seq the lower hash wins on every host, and an alarm says so until the origin's answer, which
 * lists what both list, is in force.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { decodeHead, type Head, headHash } from '../catalog/head.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import type { KnownHead } from '../catalog/source-history.js';
import { ClusterError } from '../core/fault.js';
import { type HostId, type ObjectId, type ParcelId, type PeerName, type SourceId, splitSourceId } from '../core/ids.js';
import type { HeadHint } from '../core/messages.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import { replacesHead } from '../core/own-heads.js';
import { flushDurable, readIfThere, writeDurable } from '../platform/durable.js';
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
import { fullNameOf, type Roster } from './roster.js';
import { VoidedSnapshots } from './voided-snapshots.js';

/** After this a hold that could not be ended, or that has lost something, is looked at again, in ms. */
const AGAIN_MS = 60_000;
/** How many snapshots an alarm names. */
const LACKING_TOLD = 3;

export interface CatalogKeeperOptions {
  /** STATE/catalog/heads, which exists. */
  readonly folder: string;
  readonly objects: ObjectWriter;
  /** Reads the snapshots and pages that are missing here from a peer that knows the head. */
  readonly fromPeer: (peer: PeerName) => ObjectReader;
  /** Reads them from any host that is up. */
  readonly find: (object: ObjectId, signal: AbortSignal) => Promise<Uint8Array | undefined>;
  /** What the configuration lets go, and which sources exist at all. */
  readonly forgotten: Forgotten;
  /** This host's running time, in which holds are counted. */
  readonly runMs: () => number;
  /**
   * Some host says that it holds the parcel, or may hold it: then no re-cut takes the parcel out of its hold. Whether
   * audits of that copy failed does not matter, because a hijacked origin may report that of any copy.
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
  /** Held snapshots that lost an object everywhere, as far as this host has looked. */
  readonly lacking: readonly ObjectId[];
}

/** Hears of each head that has come into force and of each hold that ended, with what that changed. */
export type HeadListener = (source: SourceId, change: HeadChange) => void;

export class CatalogKeeper {
  readonly objects: ObjectWriter;
  readonly #options: CatalogKeeperOptions;
  readonly #heads = new Map<SourceId, KnownHead>();
  /** Sources whose head wants nothing because the source is forgotten. */
  readonly #void = new Set<SourceId>();
  /** Seq of each head on this host's disk, in force or not: an earlier head never replaces it. */
  readonly #floors = new Map<SourceId, number>();
  /** Head files that were unusable when they were read, until another head of their source is in force. */
  readonly #unread = new Set<string>();
  /** Head files whose content this process has made durable: of any other an earlier write may have failed half-way. */
  readonly #durable = new Set<string>();
  /** What the head in force wants. */
  readonly #wanted = new Map<SourceId, WantedBefore>();
  /** Sources with a held snapshot that has lost an object here. */
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
  readonly #voided: VoidedSnapshots;

  constructor(options: CatalogKeeperOptions) {
    this.#options = options;
    this.objects = options.objects;
    this.#signers = new HeadSigners(options);
    this.#held = new HeldSnapshots({ ...options, fileOf: source => this.#file(source, 'seen') });
    this.#headObjects = new HeadObjects({ ...options, signal: this.#end.signal });
    this.#forks = new HeadForks(options);
    this.#voided = new VoidedSnapshots(options);
  }

  /** Reads the heads that were in force before the restart, and tells the machine what they want. */
  async open(): Promise<void> {
    const { folder, log } = this.#options;
    for (const name of await readdir(folder)) {
      const bytes = readIfThere(join(folder, name));
      if (!name.endsWith('.head') || bytes === undefined) continue;
      try {
        const head = this.#read(bytes);
        this.#floors.set(head.source, head.seq);
        // Nothing lets go of a re-cut snapshot here: who holds what is not known yet.
        await this.#enforce({ head, sealed: bytes, hash: headHash(bytes) }, { recuts: false, seek: undefined });
      } catch (error) {
        // The file is damaged or an object is gone: any peer that has this head, or a later one, gives it back.
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

  /** The sealed head on this host's disk, whether or not it could be put in force. */
  onDisk(source: SourceId): Uint8Array | undefined {
    return readIfThere(this.#file(source, 'head'));
  }

  *sources(): IterableIterator<SourceId> {
    for (const source of this.#heads.keys()) if (!this.#void.has(source)) yield source;
  }

  /** Sources whose known head wants nothing. */
  forgottenSources(): ReadonlySet<SourceId> {
    return this.#void;
  }

  /** All known and valid heads, including those of forgotten sources. */
  *heads(): IterableIterator<KnownHead> {
    for (const known of this.#heads.values()) if (!this.#signers.isVoided(known)) yield known;
  }

  /** The heads of a host's own sources that are in force here and valid no more: that host must not use their numbers. */
  *voidHeadsOf(origin: HostId): IterableIterator<KnownHead> {
    for (const [source, known] of this.#heads)
      if (splitSourceId(source).origin === origin && this.#signers.isVoided(known)) yield known;
  }

  /** The snapshots whose parcels are wanted: those that the head in force lists, and those in their hold. */
  wantedSnapshots(source: SourceId): readonly ObjectId[] {
    const { listed = [], held = [] } = this.#wanted.get(source) ?? {};
    return [...listed, ...held];
  }

  /** The wanted snapshots that the head in force does not list, oldest first. */
  heldSnapshots(source: SourceId): readonly { readonly id: ObjectId; readonly timeMs: number }[] {
    const held = new Set(this.#wanted.get(source)?.held);
    const seen = held.size === 0 ? [] : this.#held.seenOf(source).filter(({ id }) => held.has(id));
    return [...seen].sort((a, b) => a.timeMs - b.timeMs);
  }

  /** How many more snapshots a head that lists these may list beside what is in its hold; below 0 for too many. */
  roomBeside(source: SourceId, listed: readonly ObjectId[]): number {
    return this.#held.roomBeside(source, listed);
  }

  /** True when everything wanted of a source is known: its head is in force, and nothing in its hold is lost here. */
  isKnownInFull(source: SourceId): boolean {
    return this.get(source) !== undefined && !this.#lacking.has(source);
  }

  /** True when an admin has let go what this head lists. */
  isForgotten({ source, seq }: Pick<Head, 'source' | 'seq'>): boolean {
    return this.#options.forgotten.isVoid(source, seq);
  }

  /**
   * True while some head cannot be read or is being taken: what is wanted is then not fully known, or about to change.
   */
  get isUnsettled(): boolean {
    return this.#unread.size > 0 || !this.#turns.isIdle;
  }

  hints(): readonly HeadHint[] {
    return [...this.heads()].map(({ head, hash }) => ({ source: head.source, seq: head.seq, hash }));
  }

  /**
   * Takes a head from a peer, from a store of this host, or from its own history (`from` undefined: all objects are
   * here already).
   * @throws BadSignature, MalformedObject, HEAD_OF_STRANGER, HEAD_OF_REVOKED (peer); SOURCE_UNKNOWN, ObjectMissing (passing);
   * HEAD_BEHIND (operator) for a head of this host's own history
   */
  async offer(bytes: Uint8Array, from: PeerName | ObjectReader | undefined, signal?: AbortSignal): Promise<void> {
    const { source } = decodeHead(bytes);
    await this.#turns.take(source, async () => {
      const keys = this.#signers.needKeys(source);
      if (!this.#options.forgotten.isSource(source)) {
        // Its configuration may be on the way: the head is asked for again once that is here.
        throw new ClusterError('SOURCE_UNKNOWN', `${source} is not in the configuration`, { blame: 'passing' });
      }
      const head = this.#signers.verify(bytes, keys);
      const hash = headHash(bytes);
      const signed = { head, sealed: bytes };
      const known = this.#heads.get(source);
      const isVoid = this.#options.forgotten.isVoid(source, head.seq);
      const floor = this.#floors.get(source) ?? 0;
      const isTurnedBack = head.seq < floor && this.#isVoidNow(source) && this.#signers.endsVoid(signed);
      if (head.seq < floor && !isTurnedBack) {
        if (from !== undefined) return;
        throw new ClusterError(
          'HEAD_BEHIND',
          `head ${head.seq} of ${fullNameOf(source, this.#options.roster)} is not in force: ${this.#file(source, 'head')} has head ${floor}. All snapshots are kept; if that file was not written by this host, stop the service, move the file away and start it again`,
          { blame: 'operator' },
        );
      }
      if (known?.hash === hash && this.#void.has(source) === isVoid) return;
      this.#signers.refuseVoid(signed);
      if (known !== undefined && known.head.seq === head.seq && known.hash !== hash) {
        // An admin has said which of the two stands.
        if (this.#signers.isVoided(known)) this.#forks.end(source);
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
      const fetching = { source, reader, keys, signal };
      await this.#headObjects.fetch(
        listed.filter(id => !had.has(id)),
        fetching,
      );
      await this.objects.flush();
      const voided = known !== undefined && this.#signers.isVoided(known) ? known.head : undefined;
      const anew = new Set(voided?.snapshots.map(({ id }) => id));
      const enforce = async () => {
        await this.#enforce({ head, sealed: bytes, hash }, { recuts: !isTurnedBack, anew, seek: { reader, signal } });
        if (voided !== undefined) this.#voided.note(voided, this.#wanted.get(source)?.held ?? []);
      };
      try {
        await enforce();
      } catch (error) {
        if (reader === undefined || !(error instanceof ClusterError) || error.code !== 'OBJECT_MISSING') throw error;
        // An object that was here before is lost: everything listed is looked for, not only what is new.
        await this.#headObjects.fetch(listed, fetching);
        await this.objects.flush();
        await enforce();
      }
    });
  }

  /**
   * Copies what the head in force lists into another catalog (a store's own), durably.
   * @param complete snapshots that should be there with all their pages: those of the head kept there
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
    await this.#headObjects.copy(listed, target, { keys: () => this.#signers.needKeys(source), complete });
    return known;
  }

  /**
   * Reads a head file. Bit rot may leave a head that decodes, with another number, say.
   * @throws MalformedObject, BadSignature
   */
  #read(sealed: Uint8Array): Head {
    const head = decodeHead(sealed);
    const keys = this.#signers.keysOf(head.source);
    return keys.length === 0 ? head : this.#signers.verify(sealed, keys);
  }

  /** Whether the head on this host's disk, in force or not, is valid no more. */
  #isVoidNow(source: SourceId): boolean {
    const known = this.#heads.get(source);
    if (known !== undefined) return this.#signers.isVoided(known);
    const sealed = this.onDisk(source);
    try {
      return sealed !== undefined && this.#signers.isVoided({ head: decodeHead(sealed), sealed });
    } catch (error) {
      // It has rotted since it was read: a valid head is better than none.
      if (error instanceof MalformedObject) return true;
      throw error;
    }
  }

  /** `recuts`: snapshots that a re-cut has replaced may be let go. `anew`: whose hold begins now. */
  async #enforce(
    known: KnownHead,
    {
      recuts,
      anew,
      seek,
    }: { readonly recuts: boolean; readonly anew?: ReadonlySet<ObjectId>; readonly seek: Seek | undefined },
  ): Promise<void> {
    const { head, sealed, hash } = known;
    const { source, seq } = head;
    const isVoid = this.#options.forgotten.isVoid(source, seq);
    const listed = isVoid ? [] : head.snapshots.map(({ id }) => id);
    const { seen, held, nextRunMs } = await this.#held.judge(isVoid ? undefined : head, {
      recuts,
      ...(anew !== undefined && { anew }),
    });
    const { wanted, change, lacking } = await this.#judge(source, { listed, held }, seek);

    // What was seen is kept first: a head in force whose snapshots are not recorded as seen would hold nothing.
    await this.#held.keep(source, seen);
    const file = this.#file(source, 'head');
    if (readIfThere(file)?.equals(sealed) !== true) {
      this.#durable.delete(file);
      await writeDurable(file, sealed, { mode: 0o600 });
    } else if (!this.#durable.has(file)) await flushDurable(file);
    this.#durable.add(file);
    this.#heads.set(source, known);
    if (isVoid) this.#void.add(source);
    else this.#void.delete(source);
    this.#unread.delete(file);
    this.#floors.set(source, seq);
    this.#wanted.set(source, wanted);
    if (isVoid || this.#forks.isAnswer(head)) this.#forks.end(source);
    this.#voided.follow(source, wanted.held);
    this.#tellLacking(source, lacking, { isAsked: seek !== undefined });
    const againRunMs = lacking.length === 0 ? Number.POSITIVE_INFINITY : this.#options.runMs() + AGAIN_MS;
    this.#nextRunMs.set(source, Math.min(nextRunMs, againRunMs));
    this.#arm();
    this.#options.tell({ is: 'wanted', source, head: { source, seq, hash }, ...change });
    for (const listener of this.#listeners) listener(source, change);
  }

  /** What the snapshots change. Snapshots whose own object is lost are left out until it is found. */
  async #judge(source: SourceId, snapshots: WantedSnapshots, seek: Seek | undefined): Promise<Judged> {
    const before = this.#wanted.get(source);
    const { change, lost } = await headChange(this.objects, before, snapshots);
    if (lost.size === 0 && !this.#lacking.has(source)) return { wanted: { ...snapshots, lost }, change, lacking: [] };
    const lacking = await this.#headObjects.seek(snapshots.held, seek);
    const wanted = { ...snapshots, held: snapshots.held.filter(id => lacking.get(id) !== 'all') };
    const again = await headChange(this.objects, before, wanted);
    return { wanted: { ...wanted, lost: again.lost }, change: again.change, lacking: [...lacking.keys()] };
  }

  /** `isAsked`: the hosts that are up were asked. */
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
      `source ${fullNameOf(source, this.#options.roster)}: a part of the catalog of snapshots that are no longer listed but still held (${ids}) is lost, here and on every host that is up; what only that part leads to is held for gcGrace and no longer. Switch on the hosts that are off: the lost part is looked for every minute`,
    );
  }

  // ------------------------------------------------------------------------------------------------------------- holds

  /**
   * Takes a changed configuration. It may have let sources and snapshots go, or may name a source again, as when
   * another branch of it won. Objects that the head of such a source lists may be gone from here; any peer that knows
   * the head gives them.
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

  /**
   * Lets go of the snapshots whose hold has ended. A timer calls it when one is due; calling it too often does no harm.
   */
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
          'what is wanted of a source could not be judged again; nothing was let go, and it is retried',
        );
        this.#nextRunMs.set(source, this.#options.runMs() + AGAIN_MS);
      }
    }
    this.#arm();
  }

  /** After this nothing is written. A read from a peer for a head ends by the signal that the head was offered with. */
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

  /** Runs `letGo` so that `stop` waits for it; does nothing after `stop`. */
  #letGoInTurn(): Promise<void> {
    this.#lettingGo = this.#lettingGo.then(() => (this.#end.signal.aborted ? undefined : this.letGo()));
    return this.#lettingGo;
  }

  #file(source: SourceId, kind: 'head' | 'seen'): string {
    const { origin, source: name } = splitSourceId(source);
    return join(this.#options.folder, `${origin}-${name}.${kind}`);
  }
}
