/**
 * Counted: checks that a copy counts for a head only if its store's log, as far as the counting host has read it, says
 * that the store has the parcel and that it durably holds that head or a later one (I13); that nothing counts by a log
 * which its writer had given up; and that no store says so of a head which its host does not hold.
 *
 * It is each store's own word that counts: a host may have a parcel in one store, and the head in the log of another.
 *
 * A step that changes what is read or wanted touches many counts, so only some of them are made again, and all of them
 * in the full check. What I13 says of scans and of retention is not looked for: the simulator's sources are no folders,
 * and what an origin lists is drawn.
 */
import type { Input } from '../../src/core/effects.js';
import { compareEpochs, type Epoch, type LogOp, type LogSegment } from '../../src/core/holdings-log.js';
import type { HostId, ParcelId, SourceId, StoreId } from '../../src/core/ids.js';
import { countingDomains } from '../counting-domains.js';
import type { Happening } from '../happening.js';
import { LogContents } from '../log-contents.js';
import type { Running, SimHost } from '../sim-host.js';
import type { StoreLog } from '../store-log.js';
import { Violation } from '../violation.js';
import type { World } from '../world.js';
import type { Checker } from './checker.js';

/** At most this many of the parcels that one step touches are counted again. */
const COUNTED_MAX = 3;

export class CountChecker implements Checker {
  readonly #world: World;
  readonly #epochs = new WeakMap<Running, Map<StoreId, Epoch>>();
  readonly #contents = new WeakMap<StoreLog, LogContents>();

  constructor(world: World) {
    this.#world = world;
  }

  see(happening: Happening): void {
    if (happening.is === 'stepped') this.#stepped(happening.by, happening.input);
    else if (happening.is === 'durable' && happening.op.op === 'head')
      this.#holds(happening.host, happening.op.source, happening.op.seq);
  }

  #stepped(by: Running, input: Input): void {
    const told = toldOf(input);
    if (told !== undefined) this.#checkEpoch(by, told);
    for (const op of told?.ops.slice(-COUNTED_MAX) ?? []) {
      if (op.op !== 'head') this.#checkCount(by, op.parcel);
      // An older one makes no copy count for the head in force.
      else if (op.seq >= (by.machine.known.head(op.source)?.seq ?? 0)) this.#checkSome(by, op.source);
    }
    if (input.is === 'wanted') this.#checkSome(by, input.source);
  }

  /** The first parcels of the newest snapshot: the others are likely to have these. */
  #checkSome(by: Running, source: SourceId): void {
    let left = COUNTED_MAX;
    for (const parcel of by.host.disk.heads.get(source)?.snapshots.at(-1)?.refs.keys() ?? []) {
      if (left === 0) return;
      left -= 1;
      this.#checkCount(by, parcel);
    }
  }

  full(): void {
    for (const host of this.#world.hosts) {
      if (host.lost) continue;
      for (const { heads } of host.stores) for (const [source, seq] of heads) this.#holds(host, source, seq);
      const { running } = host;
      if (running === undefined) continue;
      for (const { parcel } of this.#world.listed()) this.#checkCount(running, parcel.ref.id);
    }
  }

  #holds({ disk, number }: SimHost, source: SourceId, seq: number): void {
    if ((disk.heads.get(source)?.seq ?? 0) < seq)
      throw new Violation('I13', `h${number} says that it holds head ${seq} of ${source}, and does not`);
  }

  #checkEpoch(by: Running, { host, store }: Told): void {
    const epochs = this.#epochs.get(by) ?? new Map<StoreId, Epoch>();
    this.#epochs.set(by, epochs);
    for (const { host: of, position } of by.machine.known.positions()) {
      if (of !== host || position.store !== store) continue;
      const before = epochs.get(store);
      if (before !== undefined && compareEpochs(position.epoch, before) < 0)
        throw new Violation('I13', `h${by.host.number} counts by a log that its writer had given up`);
      epochs.set(store, position.epoch);
    }
  }

  #checkCount(by: Running, parcel: ParcelId): void {
    const model = this.#world.catalog.parcel(parcel);
    const head = model === undefined ? undefined : by.machine.known.head(model.source);
    if (model === undefined || head === undefined) return;
    const counted = by.machine.known.copies(parcel, head.seq);
    if (counted === 0) return;
    const domainOf = countingDomains(by.host.disk.config);
    const domains = new Set<string>();
    for (const { host, position } of by.machine.known.positions()) {
      const domain = host === model.origin ? undefined : domainOf.get(host);
      const read = domain === undefined ? undefined : this.#world.logs.placeOf(position.digest);
      if (domain === undefined || read === undefined) continue;
      const contents = this.#contentsOf(read.log);
      if (!contents.holds(parcel, read.seq) || contents.headSeq(model.source, read.seq) < head.seq) continue;
      domains.add(domain);
      if (domains.size >= counted) return;
    }
    throw new Violation(
      'I13',
      `h${by.host.number} counts ${counted} copies of ${parcel.slice(0, 8)} for head ${head.seq}, and ${domains.size} holders have said so`,
    );
  }

  #contentsOf(log: StoreLog): LogContents {
    const known = this.#contents.get(log) ?? new LogContents(log);
    this.#contents.set(log, known);
    return known;
  }
}

/** Whose log an input reports on, and the operations. */
interface Told {
  readonly host: HostId;
  readonly store: StoreId;
  readonly ops: readonly LogOp[];
}

function toldOf(input: Input): Told | undefined {
  if (input.is === 'checkpoint') {
    const { checkpoint, ops } = input.piece;
    return { host: checkpoint.host, store: checkpoint.at.store, ops };
  }
  if (input.is === 'heard') return input.message.kind === 'log' ? toldBy(input.message.segment) : undefined;
  return 'segment' in input ? toldBy(input.segment) : undefined;
}

const toldBy = ({ host, end, ops }: LogSegment): Told => ({ host, store: end.store, ops });
