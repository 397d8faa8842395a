/**
 * Blob source: gives the blobs of a parcel for a restore, from wherever they are: this host's stores first, then
 * holders that are up, then the origin's live file. If a host goes away midway, the next one continues; of a large
 * file it gives only the rest. The same applies if an earlier run of the restore has the beginning. Then only the
 * receiver can check the hash: it decides at the end, and asks for the whole file again if the hash is wrong. Only
 * then is it found out whose bytes were wrong.
 *
 * The last resort is every other host that is up. A copy that has lost one file no longer counts as a copy, and one in
 * a log that was begun again does not count until it is read again. But their files may be the last there are, and
 * each is hashed here.
 *
 * A restore asks for a few parcels at once; givers.ts chooses whom to ask. The caller limits how much is under way at
 * once. Nothing is read ahead here except what a stream holds (net/bulk-stream.ts), so a slow reader holds up the
 * holders.
 *
 * Driven by answers.ts.
 */

import type { Logger } from 'pino';
import { BlobCheck, contentFromDisks, type Received } from '../catalog/blob-content.js';
import type { ContentFrame, ContentRequest } from '../catalog/restore-content.js';
import type { ByteRange } from '../core/byte-range.js';
import { ClusterError } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import type { BlobId, HostId, ParcelId, PeerName } from '../core/ids.js';
import type { Known } from '../core/known.js';
import { askFetch, type FetchPart, type FetchRequest, type PackedBlob } from '../net/fetch-protocol.js';
import { FetchSessions } from '../net/fetch-session.js';
import { malformed } from '../net/malformed.js';
import type { Net } from '../net/net.js';
import type { Store } from '../store/store.js';
import type { Clock } from './clock.js';
import type { DoubtedCopies } from './doubted-copies.js';
import { Givers } from './givers.js';
import type { OwnStores } from './own-stores.js';
import { pause } from './pause.js';
import type { Roster } from './roster.js';

/** Busy hosts are asked again after all others, when the first of them said it would be free; at most this often. */
const BUSY_TRIES_MAX = 20;
/**
 * Every holder is asked this many times before a blob is called unavailable, because connections break and come back.
 * Only once, if each answers that it does not have the blob: otherwise each parcel that nobody has would cost a rest.
 */
const ROUNDS = 2;
/**
 * The same while a host is away that was connected until just now. It makes a minute of rests in all; waiting longer
 * for a host that comes and goes is no help.
 */
const ROUNDS_MAX = 6;
/** The rest before the second round, in ms; it doubles for each later round, … */
const ROUND_REST_MS = 2_000;
/** … but no longer than this. */
const ROUND_REST_MS_MAX = 30_000;
/**
 * A host that lost its connection longer ago than this, in ms, is not waited for. Within this time a service restarts
 * and a radio finds its network; and a person who restores because that very host is lost has not lost patience.
 */
const AWAY_MS_MAX = 60_000;

/**
 * Who can be asked for a parcel. A host is asked only if the ranks before its own have nobody left but hosts that
 * failed just now.
 */
type Ranks = readonly Set<PeerName>[];

export class BlobSource {
  readonly #net: Net;
  readonly #known: Pick<Known, 'bytesOf' | 'holders' | 'host' | 'originOf'>;
  readonly #stores: OwnStores;
  readonly #roster: Roster;
  readonly #doubted: Pick<DoubtedCopies, 'look'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #givers: Givers;
  /** Sessions not in use. Each serves one call at a time: a reader that stops midway keeps nobody else waiting. */
  readonly #sessions: FetchSessions[] = [];

  constructor({
    net,
    known,
    stores,
    roster,
    doubted,
    clock,
    log,
  }: {
    readonly net: Net;
    readonly known: Pick<Known, 'bytesOf' | 'holders' | 'host' | 'originOf'>;
    readonly stores: OwnStores;
    readonly roster: Roster;
    readonly doubted: Pick<DoubtedCopies, 'look'>;
    readonly clock: Clock;
    readonly log: Logger;
  }) {
    this.#net = net;
    this.#known = known;
    this.#stores = stores;
    this.#roster = roster;
    this.#doubted = doubted;
    this.#clock = clock;
    this.#log = log;
    this.#givers = new Givers(clock);
  }

  async *content({ parcel, blobs, from }: ContentRequest, signal: AbortSignal): AsyncGenerator<ContentFrame> {
    const open = new Set<BlobId>(blobs);
    const received = from === undefined ? undefined : { bytes: from };
    const asked = new Map<BlobId, readonly Store[]>();
    for (const blob of blobs) {
      const stores = [...this.#stores.answering()];
      asked.set(blob, stores);
      if (yield* this.#fromHere({ parcel, blob, stores, received }, signal)) open.delete(blob);
    }
    if (open.size > 0) yield* this.#fromPeers(parcel, { open, received, origin: true }, signal);
    // From the stores that did not answer at once. From the beginning, because a peer may have given a part.
    yield* this.#fromOthersHere({ parcel, open, asked }, signal);
    yield* this.#unavailable(parcel, open);
  }

  /** The same from copies alone, other hosts' copies first: the origin's live file does not count. */
  async *copies(parcel: ParcelId, blobs: readonly BlobId[], signal: AbortSignal): AsyncGenerator<ContentFrame> {
    const open = new Set(blobs);
    yield* this.#fromPeers(parcel, { open, origin: false }, signal);
    yield* this.#fromOthersHere({ parcel, open, asked: new Map() }, signal);
    yield* this.#unavailable(parcel, open);
  }

  /** Gives what is still open from those of this host's stores that were not asked for it yet. */
  async *#fromOthersHere(
    {
      parcel,
      open,
      asked,
    }: {
      readonly parcel: ParcelId;
      readonly open: Set<BlobId>;
      readonly asked: ReadonlyMap<BlobId, readonly Store[]>;
    },
    signal: AbortSignal,
  ): AsyncGenerator<ContentFrame> {
    for (const blob of [...open]) {
      const stores = [...this.#stores.stores()].filter(store => asked.get(blob)?.includes(store) !== true);
      if (yield* this.#fromHere({ parcel, blob, stores }, signal)) open.delete(blob);
    }
  }

  *#unavailable(parcel: ParcelId, open: ReadonlySet<BlobId>): Generator<ContentFrame> {
    if (open.size === 0) return;
    const connected = new Set(this.#net.connected());
    const isUp = (host: HostId): boolean => {
      const peer = this.#roster.peerOf(host);
      return host === this.#roster.self || (peer !== undefined && connected.has(peer));
    };
    const holders = [...new Set(this.#known.holders(parcel).map(({ host }) => host))];
    const failed = this.#namesOf(holders.filter(isUp));
    const hosts = this.#namesOf(holders.filter(host => !isUp(host) && this.#roster.peerOf(host) !== undefined));
    const but = failed.length === 0 ? '' : `, not even ${failed.join(' or ')}, where it should be`;
    const because = `no host that is up can give it${but}`;
    for (const blob of open) yield { kind: 'unavailable', blob, because, hosts };
  }

  #namesOf(hosts: readonly HostId[]): string[] {
    return hosts.map(host => this.#roster.nameOf(host)).sort();
  }

  async *#fromPeers(
    parcel: ParcelId,
    {
      open,
      received,
      origin,
    }: { readonly open: Set<BlobId>; readonly received?: Received | undefined; readonly origin: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<ContentFrame> {
    // A large file is alone in its parcel. It gets a stream of its own: a shared one, if left, must still be read out.
    const sessions = open.size > 1 ? (this.#sessions.pop() ?? new FetchSessions(this.#net)) : undefined;
    const ask: Ask = (peer, request) =>
      sessions === undefined ? askFetch(this.#net, peer, request, { signal }) : sessions.ask(peer, request, signal);
    const asking: Asking = { parcel, open, ask, begun: this.#begunBefore(parcel, open, received), hasFailed: false };
    const isEnough = (round: number): boolean => {
      if (round === 0 || open.size === 0) return open.size === 0;
      if (round < ROUNDS && asking.hasFailed) return false;
      return round >= ROUNDS_MAX || this.#awaited(parcel, { origin }).length === 0;
    };
    let isReadOut = false;
    try {
      for (let round = 0; !isEnough(round); round += 1) {
        asking.hasFailed = false;
        if (round > 0) {
          const hosts = this.#awaited(parcel, { origin });
          if (hosts.length > 0) yield { kind: 'waiting', hosts: this.#namesOf(hosts) };
          await pause(Math.min(ROUND_REST_MS * 2 ** (round - 1), ROUND_REST_MS_MAX), signal);
        }
        let ranks = this.#ranksFor(parcel, { origin });
        for (let tries = 1; open.size > 0; tries += 1) {
          const busy = yield* this.#fromRanks(ranks, asking, signal);
          if (busy.size === 0) break;
          if (tries === BUSY_TRIES_MAX) {
            asking.hasFailed = true;
            break;
          }
          await pause(Math.min(...busy.values()), signal);
          ranks = [new Set(busy.keys())];
        }
      }
      isReadOut = true;
    } finally {
      giveUp(asking);
      if (isReadOut && sessions !== undefined) this.#sessions.push(sessions);
      else sessions?.stop();
    }
  }

  /** Undefined where the end of the rest is not known. */
  #begunBefore(parcel: ParcelId, open: ReadonlySet<BlobId>, received: Received | undefined): Begun | undefined {
    const [blob] = open;
    if (received === undefined || blob === undefined) return undefined;
    const bytes = this.#known.bytesOf(parcel);
    if (bytes === undefined || received.bytes >= bytes) return undefined;
    return { blob, bytes, passedBytes: received.bytes, check: undefined };
  }

  /** @returns who is busy, and for how long, in ms; empty when nothing is open any more */
  async *#fromRanks(
    ranks: Ranks,
    asking: Asking,
    signal: AbortSignal,
  ): AsyncGenerator<ContentFrame, ReadonlyMap<PeerName, number>> {
    const busy = new Map<PeerName, number>();
    for (let peer = this.#next(ranks); peer !== undefined && asking.open.size > 0; peer = this.#next(ranks)) {
      const busyMs = yield* this.#tryFrom(peer, asking, signal);
      if (busyMs !== undefined) busy.set(peer, busyMs);
    }
    return asking.open.size > 0 ? busy : new Map();
  }

  /** Gives what the peer has of the open blobs; nothing if it fails. @returns how long the peer is busy, in ms */
  async *#tryFrom(
    peer: PeerName,
    asking: Asking,
    signal: AbortSignal,
  ): AsyncGenerator<ContentFrame, number | undefined> {
    try {
      return yield* this.#from(peer, asking);
    } catch (error) {
      signal.throwIfAborted();
      // The next holder may do better.
      if (!(error instanceof ClusterError)) throw error;
      this.#givers.failed(peer);
      asking.hasFailed = true;
      this.#log.warn(
        { code: 'HOLDER_FAILED', parcel: asking.parcel, peer, err: error },
        'a holder could not give a parcel for a restore',
      );
      return undefined;
    }
  }

  /** Takes the best peer out of the ranks. */
  #next(ranks: Ranks): PeerName | undefined {
    for (const comesLast of [false, true])
      for (const rank of ranks) {
        const next = this.#givers.best([...rank].filter(peer => this.#givers.comesLast(peer) === comesLast));
        if (next === undefined) continue;
        rank.delete(next);
        return next;
      }
    return undefined;
  }

  #fromHere(
    {
      parcel,
      blob,
      stores,
      received,
    }: {
      readonly parcel: ParcelId;
      readonly blob: BlobId;
      readonly stores: readonly Store[];
      readonly received?: Received | undefined;
    },
    signal: AbortSignal,
  ): AsyncGenerator<ContentFrame, boolean> {
    const strays = stores.map(store => ({ id: store.id, openBlob: () => store.openStray(blob) }));
    return contentFromDisks(blob, [...stores, ...strays], {
      received,
      signal,
      onFault: ({ id: store }, fault) => {
        this.#doubted.look({ parcel, store });
        if (fault.is === 'changed')
          this.#log.error(
            { code: 'BLOB_CHANGED', blob, store },
            'a blob in a store of ours has other bytes than its name says; another host is asked for it',
          );
        else
          this.#log.warn(
            { code: 'BLOB_UNREADABLE', blob, store, err: fault.error },
            'a blob cannot be read here; another host is asked for it',
          );
      },
    });
  }

  #ranksFor(parcel: ParcelId, { origin: isOriginAsked }: { readonly origin: boolean }): Ranks {
    const left = new Set(this.#net.connected());
    const take = (hosts: readonly HostId[]): Set<PeerName> =>
      new Set(hosts.flatMap(host => this.#roster.peerOf(host) ?? []).filter(peer => left.delete(peer)));
    const holders = take(this.#known.holders(parcel).map(({ host }) => host));
    const origin = this.#known.originOf(parcel);
    const live = take(origin === undefined ? [] : [origin]);
    const others = new Set([...left].filter(peer => this.#roster.isTrusted(peer)));
    return isOriginAsked ? [holders, live, others] : [holders, others];
  }

  /** Hosts that may have the parcel, are away, and were connected a short while ago. */
  #awaited(parcel: ParcelId, { origin: isOriginAsked }: { readonly origin: boolean }): readonly HostId[] {
    const hosts = new Set(this.#known.holders(parcel).map(({ host }) => host));
    const origin = this.#known.originOf(parcel);
    if (isOriginAsked && origin !== undefined) hosts.add(origin);
    return [...hosts].filter(host => {
      const view = this.#known.host(host);
      if (view === undefined || view.connected || view.disconnectedAtMs === undefined) return false;
      return this.#clock.nowMs() - view.disconnectedAtMs < AWAY_MS_MAX;
    });
  }

  /** @returns how long the peer is busy, in ms */
  async *#from(peer: PeerName, asking: Asking): AsyncGenerator<ContentFrame, number | undefined> {
    const { parcel, open } = asking;
    // Asking for a range beyond the blob's end would be an offence, so a size that somebody made up is not used to ask.
    // A blob that shares its parcel is small, and is begun again.
    if (asking.begun?.bytes !== this.#known.bytesOf(parcel)) giveUp(asking);
    const rest = asking.begun;
    const busyMs = yield* this.#ask(peer, asking, rest);
    if (rest === undefined || asking.begun !== undefined || open.size === 0) return busyMs;
    // The rest does not fit what came before, and it is unknown which of the two is wrong: asks this peer for it all.
    return yield* this.#ask(peer, asking, undefined);
  }

  /** Asks for all open blobs, or for the rest of the one that has been begun. */
  async *#ask(
    peer: PeerName,
    asking: Asking,
    rest: Begun | undefined,
  ): AsyncGenerator<ContentFrame, number | undefined> {
    const { parcel, open, ask } = asking;
    const request = { parcel, blobs: [...open], purpose: 'restore' as const, ...(rest && { ranges: [restOf(rest)] }) };
    let busyMs: number | undefined;
    let isWrong = false;
    for await (const part of this.#givers.from(peer, ask(peer, request))) {
      switch (part.kind) {
        case 'busy':
          busyMs = part.retryAfterMs;
          break;
        case 'blob':
          yield* this.#begin(part, asking, rest);
          break;
        case 'data':
          if (yield* this.#passOn(part.data, { peer, asking, rest })) isWrong = true;
          break;
        case 'pack':
          if (yield* this.#passOnPack(part.blobs, { peer, open })) isWrong = true;
          break;
        case 'gone':
          break;
        default:
          part satisfies never;
      }
    }
    // For this peer's other parcels, too, the next peers are more likely to have the right bytes.
    if (isWrong) this.#givers.failed(peer);
    return busyMs;
  }

  *#begin(
    { blob, bytes }: { readonly blob: BlobId; readonly bytes: number },
    asking: Asking,
    rest: Begun | undefined,
  ): Generator<ContentFrame> {
    if (rest === undefined) {
      giveUp(asking);
      asking.begun = { blob, bytes, passedBytes: 0, check: new BlobCheck(blob) };
      yield { kind: 'start', blob, bytes };
      return;
    }
    if (bytes !== restOf(rest).bytes) throw malformed('fetch answer: another size than that of its ranges');
    if (rest.check === undefined) yield { kind: 'start', blob: rest.blob, bytes: rest.bytes, from: rest.passedBytes };
  }

  /** @returns whether the peer gave all of a blob and its bytes do not hash to its name */
  *#passOn(
    data: Uint8Array,
    { peer, asking, rest }: { readonly peer: PeerName; readonly asking: Asking; readonly rest: Begun | undefined },
  ): Generator<ContentFrame, boolean> {
    yield { kind: 'data', data };
    const { begun } = asking;
    if (begun === undefined) return false;
    begun.passedBytes += data.length;
    begun.check?.update(data);
    if (begun.passedBytes < begun.bytes) return false;
    asking.begun = undefined;
    if (begun.check?.isRight() !== false) {
      asking.open.delete(begun.blob);
      yield { kind: 'end' };
      return false;
    }
    // Wrong bytes are left without an end frame: the next peer may have the right ones.
    if (rest !== undefined) return false;
    this.#changed(peer, begun.blob);
    return true;
  }

  /** @returns whether the bytes of some blob do not hash to its name */
  *#passOnPack(
    blobs: readonly PackedBlob[],
    { peer, open }: { readonly peer: PeerName; readonly open: Set<BlobId> },
  ): Generator<ContentFrame, boolean> {
    let isWrong = false;
    for (const { blob, content } of blobs) {
      yield { kind: 'start', blob, bytes: content.length };
      yield { kind: 'data', data: content };
      if (hashHex(content) !== blob) {
        isWrong = true;
        this.#changed(peer, blob);
        continue;
      }
      open.delete(blob);
      yield { kind: 'end' };
    }
    return isWrong;
  }

  #changed(peer: PeerName, blob: BlobId): void {
    this.#log.error(
      { code: 'BLOB_CHANGED', blob, peer },
      'the bytes that a holder gave for a restore are not those that the blob’s name says; another one is asked for it',
    );
  }
}

type Ask = (peer: PeerName, request: FetchRequest) => AsyncGenerator<FetchPart, void, undefined>;

/** What is asked for, and how. */
interface Asking {
  readonly parcel: ParcelId;
  /** Blobs not given yet. A blob leaves this once it came right. */
  readonly open: Set<BlobId>;
  readonly ask: Ask;
  begun: Begun | undefined;
  /** In this round a peer failed or stayed busy: asked again, it may give what it has. */
  hasFailed: boolean;
}

/** A blob whose first bytes were passed on, by one peer or by several. */
interface Begun {
  readonly blob: BlobId;
  readonly bytes: number;
  passedBytes: number;
  /** Checks what was passed on. Undefined if the receiver had the beginning before: then only it can check. */
  readonly check: BlobCheck | undefined;
}

const restOf = ({ bytes, passedBytes }: Begun): ByteRange => ({ offset: passedBytes, bytes: bytes - passedBytes });

function giveUp(asking: Asking): void {
  asking.begun?.check?.end();
  asking.begun = undefined;
}
