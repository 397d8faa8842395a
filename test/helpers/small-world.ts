/**
 * Small world: a few host machines in virtual time, with perfect disks and a network that only delays messages. For
 * laws of the core that need more than one machine.
 *
 * The simulator's world (sim/world.ts) drives the same machines, but there nobody can step in: its services answer each
 * effect by themselves, with delays and failures that are drawn anew whenever a draw is added. Here a test can tell a
 * machine anything, have a disk or a host do what it says, and know to the second when something is due.
 */
import { EventQueue } from '../../sim/event-queue.js';
import { Chance } from '../../src/core/chance.js';
import { type ClusterConfig, DEFAULT_TIMING, type Member, type Timing } from '../../src/core/cluster-config.js';
import type { Effect, Input } from '../../src/core/effects.js';
import { hashHex } from '../../src/core/hash.js';
import { type LogOp, type LogPosition, type LogSegment, logAfter, logStart } from '../../src/core/holdings-log.js';
import {
  type HostId,
  type Nonce,
  type ParcelId,
  type Possession,
  parseClusterId,
  parseHostId,
  parseKey,
  parseNonce,
  parseParcelId,
  parsePeerName,
  parsePossession,
  parseStoreId,
  type SourceId,
  type StoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { Machine } from '../../src/core/machine.js';
import type { GossipMessage } from '../../src/core/messages.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import { NO_CHANGE } from './no-change.js';

export const MIB = 1024 * 1024;
const name = (text: string): string => hashHex(Buffer.from(text));
const possession = (nonce: Nonce, holder: HostId, parcel: ParcelId): Possession =>
  parsePossession(name(`${nonce} ${holder} ${parcel}`));

export interface HostOptions {
  readonly lentBytes?: number;
  readonly domain?: string;
  readonly state?: Member['state'];
  readonly trust?: Member['trust'];
  readonly roaming?: boolean;
}

export interface WorldOptions {
  readonly copies?: number;
  readonly timing?: Partial<Timing>;
  readonly seed?: number;
  /** The speed of one fetch, in bytes per second. */
  readonly rate?: number;
}

export class SmallHost {
  readonly id: HostId;
  store: StoreId;
  machine: Machine;
  readonly member: Member;
  readonly ops: LogOp[] = [];
  readonly wantedSeq = new Map<SourceId, number>();
  readonly wanted = new Map<SourceId, ReadonlySet<ParcelId>>();
  readonly cancelled = new Set<number>();
  /** What the host holds, according to its log. */
  readonly present = new Set<ParcelId>();
  /** Parcels removed by a drop or an expiry, in order. */
  readonly removed: { readonly parcel: ParcelId; readonly because: 'dropped' | 'expired' }[] = [];
  position: LogPosition;
  usedBytes = 0;
  up = true;
  receivedBytes = 0;
  wakeAtMs = Number.POSITIVE_INFINITY;
  readonly lentBytes: number;

  constructor({
    member,
    lentBytes,
    machine,
    store,
  }: { member: Member; lentBytes: number; machine: Machine; store: StoreId }) {
    this.id = member.host;
    this.member = member;
    this.lentBytes = lentBytes;
    this.machine = machine;
    this.store = store;
    this.position = logStart(store, { counter: 1, random: '00'.repeat(8) });
  }

  /** Its store is lost with all that it holds, and an empty one takes its place. */
  loseStore(empty: StoreId): void {
    this.store = empty;
    this.ops.length = 0;
    this.present.clear();
    this.usedBytes = 0;
    this.position = logStart(empty, { counter: 1, random: '00'.repeat(8) });
  }

  /** Appends to the log, as a store does. */
  append(op: LogOp): LogSegment {
    this.ops.push(op);
    this.position = logAfter(this.position, op);
    if (op.op === 'add') this.present.add(op.parcel);
    else if (op.op !== 'head') this.present.delete(op.parcel);
    return { host: this.id, end: this.position, ops: [op], signature: new Uint8Array(64) };
  }

  segmentAfter(seq: number): LogSegment {
    return { host: this.id, end: this.position, ops: this.ops.slice(seq), signature: new Uint8Array(64) };
  }
}

interface Source {
  seq: number;
  parcels: ParcelRef[];
}

export class SmallWorld {
  nowMs = 1_000_000;
  readonly hosts: SmallHost[] = [];
  readonly sources = new Map<SourceId, Source>();
  readonly effects: { readonly host: HostId; readonly effect: Effect }[] = [];
  #config: ClusterConfig;
  readonly #chance: Chance;
  /** Gossip that no host receives. */
  loses: (message: GossipMessage) => boolean = () => false;
  /** Hosts whose stores give up the bytes that they are told to. */
  removes: (host: SmallHost) => boolean = () => true;
  /** From `del` in the log until the bytes are gone, in ms. */
  removalMs: () => number = () => 0;
  /** May an offer reach it? Else nobody answers it. */
  hearsOffers: (host: SmallHost) => boolean = () => true;
  /** Hosts whose stores have every chunk of what does not fit whole. */
  hasChunks: (host: SmallHost) => boolean = () => true;
  /** Hosts whose stores have all files of what is measured there. */
  hasFiles: (host: SmallHost) => boolean = () => false;
  /** Hosts whose disks have no room for new bytes, however much they lend. */
  refuses: (host: SmallHost) => boolean = () => false;
  /** Hosts that read the copies they are asked to prove, and answer. */
  answersGrants: (host: SmallHost) => boolean = () => true;
  readonly #copies: number;
  readonly #rate: number;
  /** Who asked for which grant. */
  readonly #asked = new Map<number, SmallHost>();
  readonly #offered = new Map<number, { readonly host: SmallHost; readonly offer: number }>();
  readonly #everBackedUp = new Map<ParcelId, { readonly bytes: number; readonly source: SourceId }>();
  readonly #queue = new EventQueue();
  #order = 0;

  constructor(
    hosts: readonly HostOptions[],
    { copies = 2, timing = {}, seed = 1, rate = 50 * MIB }: WorldOptions = {},
  ) {
    this.#chance = new Chance([seed, 2, 3]);
    this.#copies = copies;
    this.#rate = rate;
    const members = hosts.map((options, i): Member => {
      const host = parseHostId(name(`host ${seed} ${i}`).slice(0, 32));
      return {
        host,
        name: `h${i}`,
        peer: parsePeerName(`12D3Koo${'A'.repeat(45)}`),
        state: options.state ?? 'active',
        trust: options.trust ?? 'trusted',
        domain: options.domain ?? host,
        roaming: options.roaming ?? false,
      };
    });
    this.#config = {
      cluster: parseClusterId('c'.repeat(32)),
      version: 1,
      hash: name('first'),
      members,
      sources: [],
      timing: { ...DEFAULT_TIMING, ...timing },
    };
    for (let i = 0; i < hosts.length; i += 1) this.#start(members[i] as Member, hosts[i]?.lentBytes ?? 1024 * MIB);
    for (const a of this.hosts)
      for (const b of this.hosts) if (a !== b) this.tell(a, { is: 'connected', nowMs: this.nowMs, host: b.id });
  }

  #start(member: Member, lentBytes: number): void {
    const machine = this.#machineOf(member, 1);
    const host = new SmallHost({
      member,
      machine,
      lentBytes,
      store: parseStoreId(name(`store of ${member.host}`).slice(0, 32)),
    });
    this.hosts.push(host);
    if (lentBytes > 0) this.mount(host, lentBytes);
  }

  #machineOf({ host }: Member, boot: number): Machine {
    return new Machine({
      self: host,
      boot,
      chance: new Chance([this.#chance.uint32(), 1, 1]),
      nonces: () => parseNonce(name(`nonce ${++this.#order}`).slice(0, 32)),
      ranBeforeMs: 0,
      config: this.#config,
      nowMs: this.nowMs,
    });
  }

  mount(host: SmallHost, lentBytes: number): void {
    this.tell(host, { is: 'log', nowMs: this.nowMs, segment: host.segmentAfter(0) });
    this.tell(host, {
      is: 'store',
      nowMs: this.nowMs,
      store: host.store,
      lentBytes,
      usedBytes: 0,
      draining: false,
      unread: false,
    });
  }

  /** Changes the configuration, for every host that is up, or for those of `hears`. */
  configure(change: Partial<ClusterConfig>, hears: readonly SmallHost[] = this.hosts): void {
    const { version, hash } = this.#config;
    this.#config = { ...this.#config, ...change, version: version + 1, hash: name(hash) };
    for (const host of hears) {
      if (host.up) this.tell(host, { is: 'config', nowMs: this.nowMs, config: this.#config });
    }
  }

  /** Another branch of a fork wins at every host that hears of it: it has the same version as the one in use. */
  configureAsFork(change: Partial<ClusterConfig>, hears?: readonly SmallHost[]): void {
    this.#config = { ...this.#config, version: this.#config.version - 1 };
    this.configure(change, hears);
  }

  /** A new head of a source of `origin` that lists these parcels besides the earlier ones. */
  backUp(
    origin: SmallHost,
    parcels: readonly { readonly bytes: number; readonly key?: string }[],
    source = 'photos',
  ): ParcelId[] {
    const id = sourceIdOf(origin.id, source);
    const known = this.sources.get(id) ?? { seq: 0, parcels: [] };
    const fresh = parcels.map(({ bytes, key }, i): ParcelRef => {
      const label = `${id} ${known.seq} ${i}`;
      return { id: parseParcelId(name(label)), key: parseKey(name(key ?? label).slice(0, 32)), bytes };
    });
    for (const ref of fresh) this.#everBackedUp.set(ref.id, { bytes: ref.bytes, source: id });
    this.sources.set(id, { seq: known.seq + 1, parcels: [...known.parcels, ...fresh] });
    if (!this.#config.sources.some(policy => policy.source === id)) {
      this.configure({ sources: [...this.#config.sources, { source: id, copies: this.#copies }] });
    }
    this.#learnHeads(origin, origin);
    return fresh.map(ref => ref.id);
  }

  /** A new head that no longer lists these parcels. */
  forget(origin: SmallHost, parcels: readonly ParcelId[], source = 'photos'): void {
    const known = this.sources.get(sourceIdOf(origin.id, source))?.parcels ?? [];
    this.list(
      origin,
      known.filter(ref => !parcels.includes(ref.id)),
      source,
    );
  }

  /** A new head that lists exactly these. */
  list(origin: SmallHost, parcels: readonly ParcelRef[], source = 'photos'): void {
    const id = sourceIdOf(origin.id, source);
    this.sources.set(id, { seq: (this.sources.get(id)?.seq ?? 0) + 1, parcels: [...parcels] });
    this.#learnHeads(origin, origin);
  }

  members(): readonly Member[] {
    return this.#config.members;
  }

  sourcePolicies(): ClusterConfig['sources'] {
    return this.#config.sources;
  }

  /** Its disk breaks while it runs, and a person gives it another one, which lends this much. */
  replaceStore(host: SmallHost, lentBytes: number): void {
    this.tell(host, { is: 'store-gone', nowMs: this.nowMs, store: host.store });
    host.loseStore(parseStoreId(name(`store after ${host.store}`).slice(0, 32)));
    this.mount(host, lentBytes);
  }

  /** Its store lends this much from now on. */
  resize(host: SmallHost, lentBytes: number): void {
    const { store, usedBytes } = host;
    this.tell(host, { is: 'store', nowMs: this.nowMs, store, lentBytes, usedBytes, draining: false, unread: false });
  }

  /** Power on after `kill`: the host goes on as it was, and its connections are made again. */
  revive(host: SmallHost): void {
    host.up = true;
    this.tell(host, { is: 'wake', nowMs: this.nowMs });
    for (const other of this.hosts) {
      if (other === host || !other.up) continue;
      this.tell(other, { is: 'connected', nowMs: this.nowMs, host: host.id });
      this.tell(host, { is: 'connected', nowMs: this.nowMs, host: other.id });
    }
  }

  /**
   * Power on long after `kill`: a new start, which knows of the past only what its store and the other hosts tell it.
   */
  startAgain(host: SmallHost, offForMs: number): void {
    host.machine = this.#machineOf(host.member, 2);
    host.wantedSeq.clear();
    host.wanted.clear();
    host.cancelled.clear();
    host.up = true;
    this.tell(host, { is: 'was-off', nowMs: this.nowMs, forMs: offForMs });
    this.tell(host, { is: 'log', nowMs: this.nowMs, segment: host.segmentAfter(0) });
    this.resize(host, host.lentBytes);
    this.revive(host);
  }

  /** Power off: the host no longer sends or receives; its connections break. */
  kill(host: SmallHost): void {
    host.up = false;
    for (const other of this.hosts)
      if (other.up) this.tell(other, { is: 'disconnected', nowMs: this.nowMs, host: host.id });
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    while (this.#queue.nextMs <= endMs) {
      this.nowMs = this.#queue.nextMs;
      this.#queue.pop()?.();
    }
    this.nowMs = endMs;
  }

  /** Runs until `holds` is true, for at most `withinMs`. @returns whether it became true */
  runUntil(holds: () => boolean, withinMs: number): boolean {
    const endMs = this.nowMs + withinMs;
    while (!holds() && this.nowMs < endMs) this.run(50);
    return holds();
  }

  /** Live hosts that truly have the parcel. */
  trueHolders(parcel: ParcelId): SmallHost[] {
    return this.hosts.filter(host => host.up && host.present.has(parcel));
  }

  tell(host: SmallHost, input: Input): void {
    if (!host.up) return;
    for (const effect of host.machine.step(input)) this.#carryOut(host, effect);
  }

  #after(delayMs: number, run: () => void): void {
    this.#queue.push(this.nowMs + delayMs, run);
  }

  #delayMs(): number {
    return 5 + this.#chance.below(40);
  }

  #hostOf(id: HostId): SmallHost {
    const host = this.hosts.find(candidate => candidate.id === id);
    if (host === undefined) throw new Error(`no host ${id}`);
    return host;
  }

  #carryOut(host: SmallHost, effect: Effect): void {
    this.effects.push({ host: host.id, effect });
    switch (effect.do) {
      case 'gossip':
        if (this.loses(effect.message)) return;
        for (const other of this.hosts) {
          if (other === host) continue;
          this.#after(this.#delayMs(), () =>
            this.tell(other, { is: 'heard', nowMs: this.nowMs, from: host.id, message: effect.message }),
          );
        }
        return;
      case 'ask-state': {
        const other = this.#hostOf(effect.host);
        this.#after(this.#delayMs(), () => {
          if (other.up) this.#answerState(host, other);
          this.tell(host, { is: 'state-answered', nowMs: this.nowMs, host: other.id, ok: other.up });
        });
        return;
      }
      case 'fetch': {
        const from = this.#hostOf(effect.from);
        const bytes = this.#bytesOf(effect.parcel);
        const lastsMs = this.#delayMs() + (from === host ? 0 : (bytes / this.#rate) * 1000);
        this.#after(lastsMs, () => {
          if (host.cancelled.has(effect.fetch)) {
            this.tell(host, {
              is: 'fetch-failed',
              nowMs: this.nowMs,
              fetch: effect.fetch,
              because: 'cancelled',
              retryAfterMs: 0,
            });
            return;
          }
          const isOwn = from === host && this.hasFiles(host);
          const has =
            from.up &&
            (isOwn || this.#originOf(effect.parcel) === from.id || this.trueHolders(effect.parcel).includes(from));
          if (!has) {
            this.tell(host, {
              is: 'fetch-failed',
              nowMs: this.nowMs,
              fetch: effect.fetch,
              because: 'unreachable',
              retryAfterMs: 0,
            });
            return;
          }
          if (this.refuses(host)) {
            this.tell(host, {
              is: 'fetch-failed',
              nowMs: this.nowMs,
              fetch: effect.fetch,
              because: 'no-room',
              retryAfterMs: 0,
            });
            return;
          }
          const receivedBytes = isOwn ? 0 : bytes;
          host.usedBytes += receivedBytes;
          host.receivedBytes += receivedBytes;
          const segment = host.append({ op: 'add', parcel: effect.parcel });
          this.tell(host, {
            is: 'fetched',
            nowMs: this.nowMs,
            fetch: effect.fetch,
            receivedBytes,
            segment,
            usedBytes: host.usedBytes,
          });
        });
        return;
      }
      case 'ask-audit':
      case 'note-distrust':
      case 'note-distrust-full':
      case 'note-unanswered-full':
      case 'note-unanswered':
      case 'note-move-ended':
        return;
      case 'cancel-fetch':
        host.cancelled.add(effect.fetch);
        return;
      case 'keep-head':
        this.#after(3, () => {
          const segment = host.append({ op: 'head', source: effect.source, seq: effect.seq });
          this.tell(host, { is: 'head-kept', nowMs: this.nowMs, store: effect.store, source: effect.source, segment });
        });
        return;
      case 'measure':
        this.#after(3, () =>
          this.tell(host, {
            is: 'measured',
            nowMs: this.nowMs,
            parcel: effect.parcel,
            store: effect.store,
            missingBytes: this.hasChunks(host) ? 0 : undefined,
            atHand: this.hasFiles(host),
          }),
        );
        return;
      case 'wake':
        host.wakeAtMs = effect.atMs;
        if (effect.atMs !== Number.POSITIVE_INFINITY) {
          // Only the timer that was asked for last fires: each request replaces the one before.
          this.#after(Math.max(0, effect.atMs - this.nowMs), () => {
            if (host.wakeAtMs === effect.atMs) this.tell(host, { is: 'wake', nowMs: this.nowMs });
          });
        }
        return;
      case 'ask-config':
      // Reads and questions take next to no time here.
      case 'cancel-attempt':
      case 'note-liveness':
      case 'note-duplicate':
      case 'note-absence':
      case 'note-outage':
        return;
      case 'prove-own': {
        const { attempt, parcel, holders } = effect;
        const expected = new Map(holders.map(holder => [holder, possession(attempt, holder, parcel)]));
        this.#after(3, () => {
          if (host.present.has(parcel)) this.tell(host, { is: 'own-proved', nowMs: this.nowMs, attempt, expected });
          else this.tell(host, { is: 'own-not-proved', nowMs: this.nowMs, attempt, because: 'corrupt' });
        });
        return;
      }
      case 'ask-grants': {
        const { attempt: nonce, parcel, config } = effect;
        for (const id of effect.holders) {
          const other = this.#hostOf(id);
          this.#order += 1;
          const ask = this.#order;
          this.#asked.set(ask, host);
          this.#after(this.#delayMs(), () => {
            const { nowMs } = this;
            if (other.up) this.tell(other, { is: 'grant-asked', nowMs, ask, from: host.id, nonce, parcel, config });
            else this.tell(host, { is: 'grant-answered', nowMs, attempt: nonce, from: id, answer: undefined });
          });
        }
        return;
      }
      case 'read-possession': {
        const { ask, nonce, parcel } = effect;
        if (!this.answersGrants(host)) return;
        this.#after(3, () => {
          const held = host.present.has(parcel);
          this.tell(host, {
            is: 'possession-read',
            nowMs: this.nowMs,
            ask,
            possession: held ? possession(nonce, host.id, parcel) : undefined,
          });
        });
        return;
      }
      case 'answer-grant': {
        const { ask, nonce, answer } = effect;
        const asker = this.#asked.get(ask);
        this.#asked.delete(ask);
        if (asker === undefined) return;
        this.#after(this.#delayMs(), () =>
          this.tell(asker, { is: 'grant-answered', nowMs: this.nowMs, attempt: nonce, from: host.id, answer }),
        );
        return;
      }
      case 'drop': {
        const { parcel, nonce: attempt } = effect.proof;
        this.#after(3, () => {
          if (!this.removes(host)) {
            this.tell(host, { is: 'not-dropped', nowMs: this.nowMs, attempt });
            return;
          }
          const before = host.position.seq;
          host.removed.push({ parcel, because: 'dropped' });
          host.append({ op: 'del', parcel });
          this.#after(this.removalMs(), () => {
            host.usedBytes -= this.#bytesOf(parcel);
            const segment = host.segmentAfter(before);
            this.tell(host, { is: 'dropped', nowMs: this.nowMs, attempt, segment, usedBytes: host.usedBytes });
          });
        });
        return;
      }
      case 'expire': {
        const { parcel } = effect.warrant;
        this.#after(3, () => {
          host.removed.push({ parcel, because: 'expired' });
          host.usedBytes -= this.#bytesOf(parcel);
          const segment = host.append({ op: 'del', parcel });
          this.tell(host, { is: 'expired', nowMs: this.nowMs, parcel, segment, usedBytes: host.usedBytes });
        });
        return;
      }
      case 'offer-relocation': {
        const to = this.#hostOf(effect.to);
        const { offer, parcels } = effect;
        this.#order += 1;
        const ask = this.#order;
        this.#offered.set(ask, { host, offer });
        this.#after(this.#delayMs(), () => {
          if (to.up && this.hearsOffers(to))
            this.tell(to, { is: 'relocation-offered', nowMs: this.nowMs, ask, from: host.id, parcels });
          else this.tell(host, { is: 'relocation-answered', nowMs: this.nowMs, offer, accepted: false });
        });
        return;
      }
      case 'answer-relocation': {
        const offered = this.#offered.get(effect.ask);
        this.#offered.delete(effect.ask);
        if (offered === undefined) return;
        const { accepted } = effect;
        this.#after(this.#delayMs(), () =>
          this.tell(offered.host, { is: 'relocation-answered', nowMs: this.nowMs, offer: offered.offer, accepted }),
        );
        return;
      }
      case 'identify':
        this.#after(3, () =>
          this.tell(host, {
            is: 'identified',
            nowMs: this.nowMs,
            parcel: effect.parcel,
            source: this.#sourceOf(effect.parcel),
          }),
        );
        return;
      case 'note-unwanted':
        return;
      default:
        effect satisfies never;
    }
  }

  #answerState(host: SmallHost, other: SmallHost): void {
    this.tell(host, { is: 'heard', nowMs: this.nowMs, from: other.id, message: other.machine.heartbeat() });
    if (other.lentBytes > 0) this.tell(host, { is: 'log', nowMs: this.nowMs, segment: other.segmentAfter(0) });
    this.#learnHeads(host, other);
  }

  /** Tells `host` about the heads that `from` knows and `host` does not. */
  #learnHeads(host: SmallHost, from: SmallHost): void {
    for (const [source, { seq, parcels }] of this.sources) {
      const isOrigin = source.startsWith(from.id);
      const theirs = isOrigin ? seq : (from.wantedSeq.get(source) ?? 0);
      const ours = host.wantedSeq.get(source) ?? 0;
      if (theirs <= ours) continue;
      host.wantedSeq.set(source, theirs);
      const known = host.wanted.get(source) ?? new Set<ParcelId>();
      const listed = new Set(parcels.map(({ id }) => id));
      host.wanted.set(source, listed);
      this.tell(host, {
        is: 'wanted',
        nowMs: this.nowMs,
        source,
        head: { source, seq: theirs, hash: name(`${source} ${theirs}`) },
        ...NO_CHANGE,
        add: parcels.filter(({ id }) => !known.has(id)),
        remove: [...known].filter(id => !listed.has(id)),
      });
    }
  }

  #bytesOf(parcel: ParcelId): number {
    const bytes = this.#everBackedUp.get(parcel)?.bytes;
    if (bytes === undefined) throw new Error(`no parcel ${parcel}`);
    return bytes;
  }

  #sourceOf(parcel: ParcelId): SourceId | undefined {
    return this.#everBackedUp.get(parcel)?.source;
  }

  #originOf(parcel: ParcelId): string {
    return this.#sourceOf(parcel)?.slice(0, 32) ?? '';
  }
}
