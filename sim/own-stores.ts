/**
 * Own stores: the stores of one host's service: mounts and measures them, writes their logs and reports to the machine,
 * in the order in which a daemon does it.
 *
 * A requested write becomes durable a little later, and the requester is told after that. A crash in between keeps some
 * first part of the pending writes, and nobody is told.
 */
import type { Chance } from '../src/core/chance.js';
import { isCheckpointDue } from '../src/core/checkpoint.js';
import type { ReadFailure } from '../src/core/effects.js';
import type { Epoch, LogOp, LogPosition, LogSegment } from '../src/core/holdings-log.js';
import type { ParcelId, StoreId } from '../src/core/ids.js';
import { counterAbove, decideMount } from '../src/core/mounting.js';
import { type LogDoubt, RememberedLogs } from '../src/core/remembered-logs.js';
import { DOUBT_RESTS, type RestTimes, StoreRests } from '../src/core/store-rests.js';
import type { ParcelModel } from './catalog-model.js';
import { between, oneIn } from './draw.js';
import { HangingDisks } from './hanging-disks.js';
import type { Running } from './sim-host.js';
import type { StoreDisk, StoredFile, UnderWay } from './store-disk.js';
import type { StoreLog } from './store-log.js';
import type { Surroundings } from './surroundings.js';

/** The time of a flushed write, in ms, and the rate of a read, on a disk that is not slow. */
const WRITE_MS = { least: 2, most: 25 };
const READ_BYTES_PER_MS = 100_000;
/** A failed store is reopened after this, in ms. */
const REOPEN_MS = 10_000;
/** A store that could not be opened is looked at again after this, in ms. */
const LOOK_AGAIN_MS = 60_000;
/** From the end of a rescan that found the disk unreadable to the next. */
const RESCAN_RESTS: RestTimes = { leastMs: 60_000, mostMs: 60 * 60_000 };
/** Where the virtual wall clock starts: new epochs count from it. */
const WALL_MS = 1_700_000_000_000;

export class OwnStores {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #chance: Chance;
  readonly #toldSeq = new Map<StoreId, number>();
  readonly #mountings = new Map<StoreId, object>();
  readonly #doubts = new StoreRests(DOUBT_RESTS);
  readonly #rescans = new StoreRests(RESCAN_RESTS);
  /** By store, the rescan that runs: one of an earlier mounting ends by itself. */
  readonly #rescanning = new Map<StoreId, object>();
  /** Stores that are to be mounted later. */
  readonly #waiting = new Set<StoreDisk>();
  readonly #remembered = new RememberedLogs();
  readonly #hanging: HangingDisks;

  constructor(of: Running, world: Surroundings) {
    this.#of = of;
    this.#world = world;
    this.#chance = world.chance.of(`disk/${of.host.number}`);
    this.#hanging = new HangingDisks(of, world);
  }

  mounted(id: StoreId): StoreDisk | undefined {
    return this.#toldSeq.has(id) ? this.#of.host.stores.find(store => store.id === id) : undefined;
  }

  /**
   * True as long as the store stays mounted: what was begun in it before it went may not end in it when it is back, for
   * a service opens it anew.
   */
  whileMounted(id: StoreId): () => boolean {
    const mounting = this.#mountings.get(id);
    return () => mounting !== undefined && this.#mountings.get(id) === mounting;
  }

  *stores(): IterableIterator<StoreDisk> {
    for (const store of this.#of.host.stores) if (this.#toldSeq.has(store.id)) yield store;
  }

  open(): void {
    for (const store of this.#of.host.stores) this.#mount(store);
  }

  measure(): void {
    for (const store of [...this.stores()]) {
      if (this.#isDoubted(store)) this.reopen(store);
      else this.#tellRoom(store);
    }
  }

  /** The mounted stores, except those that hang. */
  *answering(): IterableIterator<StoreDisk> {
    for (const store of this.stores()) if (!this.#hanging.hangs(store)) yield store;
  }

  /** Where all bytes of a parcel lie: as a copy of it, or as one of its family that has the same. The store `into` first. */
  findAll(
    { ref, shared }: ParcelModel,
    into?: StoreId,
  ): { readonly store: StoreDisk; readonly copy: ParcelId } | undefined {
    const isSame = (parcel: ParcelId, file: StoredFile | undefined): boolean =>
      parcel === ref.id || (shared?.bytes === ref.bytes && file?.shared?.key === shared.key);
    const stores = [...this.answering()].sort((a, b) => Number(b.id === into) - Number(a.id === into));
    for (const store of stores)
      for (const copy of store.present) if (isSame(copy, store.files.get(copy))) return { store, copy };
    return undefined;
  }

  /** Begins a read. @returns how long it takes, in ms */
  readMs(store: StoreDisk, bytes: number): number {
    const callMs = between(this.#chance, 1, 10) + (store.readsAtOnce ? 0 : store.slowMs);
    this.#hanging.began(store, 'callMs', callMs);
    return callMs + bytes / READ_BYTES_PER_MS;
  }

  /** Begins a write that is flushed. @returns how long it takes, in ms */
  writeMs(store: StoreDisk): number {
    const ms = between(this.#chance, WRITE_MS.least, WRITE_MS.most) + store.slowMs;
    this.#hanging.began(store, 'flushMs', ms);
    return ms;
  }

  /**
   * Writes an operation to the log. `durable` is called when it is durable; never if the service ends first.
   * @returns false when the disk refuses it.
   */
  append(store: StoreDisk, op: LogOp, durable: () => void): boolean {
    if (store.full || store.failing) {
      if (store.full) this.#world.counts.noRoom += 1;
      return false;
    }
    const { host } = this.#of;
    const entry: UnderWay = { op, done: durable };
    store.underWay.push(entry);
    this.#world.after(this.writeMs(store), () => {
      // Operations become durable in order: a later write brings all earlier ones with it.
      while (store.underWay.includes(entry)) {
        const next = store.underWay.shift();
        if (next === undefined) break;
        commit(this.#world, host, store, next.op);
        this.#of.enter(next.done);
      }
    });
    return true;
  }

  /** Hands over the operations of the store's log that the machine has not been told. */
  tellOps(store: StoreDisk, completion: (segment: LogSegment) => void): void {
    const toldSeq = this.#toldSeq.get(store.id);
    if (toldSeq === undefined) return;
    const segment = store.log.segment(toldSeq);
    this.#toldSeq.set(store.id, store.log.seq);
    completion(segment);
    this.#makeCheckpointIfDue(store);
  }

  /** Only operations that the machine has been told of may be dropped from the log. */
  #makeCheckpointIfDue(store: StoreDisk): void {
    const { log } = store;
    if (this.#toldSeq.get(store.id) !== log.seq || store.full || store.failing) return;
    const before = log.checkpointBefore(log.seq);
    const isDue = isCheckpointDue({
      opsSince: log.seq - (before?.at.seq ?? 0),
      baseOps: before?.count ?? 0,
      held: store.present.size + store.heads.size,
      everyOps: this.#world.checkpointEveryOps,
    });
    if (!isDue) return;
    this.#world.counts.checkpoints += 1;
    store.makeCheckpoint();
  }

  /** If a fault says so, a write goes to the wrong place. @returns whether it did. */
  writeAstray(store: StoreDisk): boolean {
    if (!store.goesAstray) return false;
    store.goesAstray = false;
    const [victim] = store.present;
    if (victim !== undefined) {
      this.#world.happened({ is: 'injected-loss', host: this.#of.host, parcel: victim });
      store.spoil(victim, 'overwritten');
    }
    return true;
  }

  /**
   * A read has found wrong bytes, which are reported first. `then` gets how the read ended: if the log does not take
   * `corrupt`, the disk counts as unreadable, and the copy stays PRESENT until it is found again.
   */
  foundCorrupt(
    store: StoreDisk,
    parcel: ParcelId,
    then: (because: ReadFailure) => void = (): undefined => undefined,
  ): void {
    if (!store.present.has(parcel)) {
      then('unreadable');
      return;
    }
    const isTaken = this.append(store, { op: 'corrupt', parcel }, () => {
      store.remove(parcel);
      this.tellOps(store, segment => this.#of.tell({ is: 'own-ops', segment, usedBytes: store.usedBytes }));
      then('corrupt');
    });
    if (isTaken) return;
    this.#world.counts.corruptRefused += 1;
    then('unreadable');
  }

  /** A person has pulled a disk, or put it back. */
  lookAgain(): void {
    for (const store of this.#of.host.stores) {
      if (store.pulled) this.#unmount(store);
      else if (!this.#toldSeq.has(store.id)) this.#mount(store);
    }
  }

  /** @returns whether the store was mounted. */
  #unmount(store: StoreDisk): boolean {
    if (!this.#toldSeq.delete(store.id)) return false;
    this.#mountings.delete(store.id);
    settleUnderWay(this.#world, this.#of.host, store, this.#chance);
    this.#of.tell({ is: 'store-gone', store: store.id });
    return true;
  }

  /** Unmounts the store, which takes nothing more until it is opened again. */
  reopen(store: StoreDisk): void {
    if (!this.#unmount(store)) return;
    this.#mountIn(store, REOPEN_MS);
  }

  #mountIn(store: StoreDisk, delayMs: number): void {
    if (this.#waiting.has(store)) return;
    this.#waiting.add(store);
    this.#world.after(delayMs, () =>
      this.#of.enter(() => {
        this.#waiting.delete(store);
        if (!this.#of.host.stores.includes(store) || this.#toldSeq.has(store.id)) return;
        this.#mount(store);
      }),
    );
  }

  /** Another host remembers more of our log, or a different one. */
  hearOfOwnLog(theirs: LogPosition): void {
    const store = this.mounted(theirs.store);
    if (store?.log.digestAt(store.log.seq) === theirs.digest || !this.#remembered.hear(theirs)) return;
    if (store !== undefined && this.#isDoubted(store)) this.reopen(store);
  }

  #isDoubted(store: StoreDisk): boolean {
    return this.#of.nowMs >= this.#doubts.untilMs(store.id) && this.#doubtOf(store) !== undefined;
  }

  #doubtOf({ log }: StoreDisk): LogDoubt | undefined {
    const own = { end: log.positionAt(log.seq), baseSeq: log.checkpointBefore(log.seq)?.at.seq ?? 0 };
    return this.#remembered.doubt(own, seq => log.digestAt(seq));
  }

  /** Reads every copy again; wrong ones are reported in the log. */
  scrub(): void {
    for (const store of this.stores()) for (const parcel of [...store.present]) this.#check(store, parcel);
  }

  /** Now and then reads one copy of each store again. */
  scrubOne(): void {
    for (const store of this.stores()) {
      const { size } = store.present;
      if (size > 0) this.#check(store, [...store.present][this.#chance.below(size)] as ParcelId);
    }
  }

  /** Removes trash whose time is over. */
  emptyTrash(nowMs: number): void {
    for (const store of this.stores())
      for (const [parcel, { untilMs }] of store.trash) if (untilMs <= nowMs) store.trash.delete(parcel);
  }

  #check(store: StoreDisk, parcel: ParcelId): void {
    // A host that lies in audits does not look at its copies either.
    if (store.failing || this.#of.host.lies?.audits === true) return;
    if (store.files.get(parcel)?.content !== parcel) this.foundCorrupt(store, parcel);
  }

  #mount(store: StoreDisk): void {
    if (store.pulled) return;
    const { host } = this.#of;
    const { disk } = host;
    if (!this.#openUnlessRefused(store)) {
      this.#world.counts.mountsRefused += 1;
      this.#mountIn(store, LOOK_AGAIN_MS);
      return;
    }
    // PRESENT means `add` in the log and the file in its place.
    for (const parcel of [...store.present]) {
      if (!store.files.has(parcel)) commit(this.#world, host, store, { op: 'corrupt', parcel });
    }
    if (!store.rescanDue)
      for (const parcel of [...store.files.keys()]) if (!store.present.has(parcel)) store.remove(parcel);
    disk.index.set(store.id, store.log.positionAt(store.log.seq));
    this.#toldSeq.set(store.id, store.log.seq);
    this.#mountings.set(store.id, {});
    const { pieces, segment } = store.log.telling(0);
    for (const piece of pieces) this.#of.tell({ is: 'checkpoint', piece });
    this.#of.tell({ is: 'log', segment });
    this.#makeCheckpointIfDue(store);
    this.#tellRoom(store);
    this.#hanging.mounted(store);
    this.#rescans.forget(store.id);
    this.#beginRescan(store);
  }

  /** @returns false when the disk does not let the store be opened */
  #openUnlessRefused(store: StoreDisk): boolean {
    if (!this.#open(store, undefined)) return false;
    const doubt = this.#doubtOf(store);
    if (doubt === undefined) return true;
    this.#doubts.begin(store.id, this.#of.nowMs);
    return this.#open(store, doubt);
  }

  /**
   * Of a disk that gives errors not even the marker can be read. A full one refuses a new log, operations on what is
   * missing, and the marker, which is written only when it changes; what could make room there is removed first, and
   * here that is never enough.
   */
  #refuses(store: StoreDisk, writes: boolean): boolean {
    if (store.failing) return true;
    if (!store.full || !writes) return false;
    store.trash.clear();
    store.incoming.clear();
    return true;
  }

  /**
   * @param doubt how other hosts' memory contradicts the log, which was opened just before
   * @returns false when the disk refused it; then nothing has changed
   */
  #open(store: StoreDisk, doubt: LogDoubt | undefined): boolean {
    const { host, boot, previousBoot } = this.#of;
    const { index, indexBoot } = host.disk;
    const { log } = store;
    const position = index.get(store.id);
    const lastBoot = indexBoot.get(store.id);
    const verdict = decideMount({
      boot,
      previousBoot,
      wallMs: wallMsOf(this.#world.nowMs + host.wallOffsetMs),
      // The marker is written together with the new log.
      marker: { boot: store.boot, epoch: log.epoch },
      log: {
        kind: 'sound',
        end: log.positionAt(log.seq),
        hasRemembered: position === undefined || !lacks(log, position),
      },
      remembered: { boots: lastBoot === undefined ? [] : [lastBoot], position },
      doubt,
    });
    const lacksFiles = [...store.present].some(parcel => !store.files.has(parcel));
    if (this.#refuses(store, verdict.act === 'begin-epoch' || lacksFiles || store.boot !== boot)) return false;
    if (verdict.act === 'begin-epoch') {
      this.#world.counts.newEpochs += 1;
      store.beginEpoch({ counter: verdict.counter, random: randomHex(this.#chance, 2) });
      this.#world.logs.note(store.log);
      index.set(store.id, store.log.positionAt(0));
    }
    store.boot = boot;
    indexBoot.set(store.id, boot);
    return true;
  }

  /** After a doubt every copy is read again before it counts. */
  #beginRescan(store: StoreDisk): void {
    const run = {};
    this.#rescanning.set(store.id, run);
    if (store.rescanDue) this.#rescan(store, [...store.files.keys()], run);
  }

  #rescan(store: StoreDisk, parcels: readonly ParcelId[], run: object): void {
    const [parcel, ...others] = parcels;
    if (parcel === undefined) {
      store.rescanDue = false;
      if (this.mounted(store.id) === store) this.#tellRoom(store);
      return;
    }
    const file = store.files.get(parcel);
    this.#world.after(this.readMs(store, file?.bytes ?? 0), () =>
      this.#of.enter(() => {
        if (this.mounted(store.id) !== store || this.#rescanning.get(store.id) !== run) return;
        if (store.failing) {
          this.#rescanLater(store, run);
          return;
        }
        const file = store.files.get(parcel);
        if (file !== undefined && file.content !== parcel) store.remove(parcel);
        if (file?.content !== parcel || store.present.has(parcel)) {
          this.#rescan(store, others, run);
          return;
        }
        // One at a time: the rescan is due until all of them are durable.
        const isTaken = this.append(store, { op: 'add', parcel }, () => {
          this.tellOps(store, segment => this.#of.tell({ is: 'log', segment }));
          this.#rescan(store, others, run);
        });
        if (!isTaken) this.reopen(store);
      }),
    );
  }

  #rescanLater(store: StoreDisk, run: object): void {
    const { nowMs } = this.#of;
    this.#world.counts.rescansRefused += 1;
    this.#rescans.begin(store.id, nowMs);
    this.#world.after(Math.max(0, this.#rescans.untilMs(store.id) - nowMs), () =>
      this.#of.enter(() => {
        if (this.mounted(store.id) === store && this.#rescanning.get(store.id) === run) this.#beginRescan(store);
      }),
    );
  }

  #tellRoom(store: StoreDisk): void {
    const lies = this.#of.host.lies?.room === true;
    this.#of.tell({
      is: 'store',
      store: store.id,
      lentBytes: lies ? store.lentBytes * 20 : store.lentBytes,
      usedBytes: store.usedBytes,
      draining: store.draining,
      unread: store.rescanDue,
    });
  }
}

export const firstEpoch = (chance: Chance, nowMs: number): Epoch => ({
  counter: counterAbove([wallMsOf(nowMs)]),
  random: randomHex(chance, 2),
});

const wallMsOf = (nowMs: number): number => Math.floor(WALL_MS + nowMs);

/** `words` × 8 hex digits. */
export function randomHex(chance: Chance, words: number): string {
  let hex = '';
  for (let word = 0; word < words; word += 1) hex += chance.uint32().toString(16).padStart(8, '0');
  return hex;
}

/** A crash, or a store that fails, keeps some first part of what was written and not flushed. */
export function settleUnderWay(
  world: Pick<Surroundings, 'happened' | 'logs'>,
  host: Running['host'],
  store: StoreDisk,
  chance: Chance,
): void {
  const underWay = store.underWay.splice(0);
  const kept = underWay.length === 0 || oneIn(chance, 2) ? underWay.length : chance.below(underWay.length + 1);
  for (const { op } of underWay.slice(0, kept)) commit(world, host, store, op);
}

function commit(
  world: Pick<Surroundings, 'happened' | 'logs'>,
  host: Running['host'],
  store: StoreDisk,
  op: LogOp,
): void {
  store.commit(op);
  world.logs.note(store.log);
  host.disk.index.set(store.id, store.log.positionAt(store.log.seq));
  world.happened({ is: 'durable', host, store, op });
}

/** Whether the log lacks the position. Nobody can check what a checkpoint stands for. */
function lacks(log: StoreLog, { seq, digest }: LogPosition): boolean {
  if (seq > log.seq) return true;
  return seq >= (log.checkpointBefore(log.seq)?.at.seq ?? 0) && log.digestAt(seq) !== digest;
}
