/**
 * Blob source: blobs of a parcel for a restore, from wherever they are: our own stores first, then holders that are up, then
 * the origin's live file. A host that goes away in the middle is replaced by the next, which of a large file gives only the rest.
 * The same where an earlier run of the restore has the beginning: then its hash is known to the receiver alone, who decides in the
 * end, and asks for all of it when it is wrong. So whose bytes were wrong is found out then.
 *
 * The last resort is everybody else who is up. A copy that has lost one file is no copy to anybody, and one of a log that was begun
 * anew is none until it is read again; but the files of it may be the last there are, and each is hashed here.
 *
 * A restore asks for a few parcels at once; of whom, is for givers.ts to say. How much is under way at once is for the caller to
 * bound; nothing is read ahead here but what a stream holds (net/bulk-stream.ts), so a slow reader holds up the holders.
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

/** Those who are busy are asked again when the first of them said, after all others; but not more often than this. */
const BUSY_TRIES_MAX = 20;
/**
 * Every holder is asked so often before a blob is called unavailable: connections break and come back. Once, when each has answered
 * that it has not got it: what nobody has would else cost a rest for each parcel of it.
 */
const ROUNDS = 2;
/** … and while one is away that was connected just now, so often: that is a minute of rests, and one that comes and goes is no help. */
const ROUNDS_MAX = 6;
/** Before the second round, in ms; before each later one twice as long, … */
const ROUND_REST_MS = 2_000;
/** … but no longer than this. */
const ROUND_REST_MS_MAX = 30_000;
/**
 * Whoever lost its connection longer ago, in ms, is not waited for. A service has started anew in that time, and a radio has found its
 * network; who is restoring for want of that very host has not lost patience.
 */
const AWAY_MS_MAX = 60_000;

/** Who can be asked for a parcel: somebody of a rank, when nobody is left of those before it but who failed just now. */
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
  /** Not in use. The streams of one serve one call at a time: a reader that stops in the middle keeps nobody else waiting. */
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
    // Of those that did not answer at once; from its beginning, for a peer may have given a part.
    yield* this.#fromOthersHere({ parcel, open, asked }, signal);
    yield* this.#unavailable(parcel, open);
  }

  /** The same from copies alone, those of others first: the origin's live file counts for nothing. */
  async *copies(parcel: ParcelId, blobs: readonly BlobId[], signal: AbortSignal): AsyncGenerator<ContentFrame> {
    const open = new Set(blobs);
    yield* this.#fromPeers(parcel, { open, origin: false }, signal);
    yield* this.#fromOthersHere({ parcel, open, asked: new Map() }, signal);
    yield* this.#unavailable(parcel, open);
  }

  /** What is open still, from the stores of ours that were not asked for it. */
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
    const hosts = this.#namesOf(holders.filter(host => !isUp(host)));
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
    // A large file is alone in its parcel. It has a stream of its own, for who leaves a shared one leaves it to be read out.
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

  /** Nothing where the rest's end is not known. */
  #begunBefore(parcel: ParcelId, open: ReadonlySet<BlobId>, received: Received | undefined): Begun | undefined {
    const [blob] = open;
    if (received === undefined || blob === undefined) return undefined;
    const bytes = this.#known.bytesOf(parcel);
    if (bytes === undefined || received.bytes >= bytes) return undefined;
    return { blob, bytes, passedBytes: received.bytes, check: undefined };
  }

  /** @returns who is busy, and for how long, in ms; nobody when all is here */
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

  /** What it gives of what is open; nothing when it fails. @returns for how long it is busy, in ms */
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

  /** Takes one of them. */
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

  /** Who may have it, is away, and was not a while ago. */
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

  /** @returns for how long it is busy, in ms */
  async *#from(peer: PeerName, asking: Asking): AsyncGenerator<ContentFrame, number | undefined> {
    const { parcel, open } = asking;
    // A range beyond its end would be an offence of ours: a size that somebody made up is not asked with. What is not alone in its
    // parcel is small, and is begun anew.
    if (asking.begun?.bytes !== this.#known.bytesOf(parcel)) giveUp(asking);
    const rest = asking.begun;
    const busyMs = yield* this.#ask(peer, asking, rest);
    if (rest === undefined || asking.begun !== undefined || open.size === 0) return busyMs;
    // The rest does not go with what came before it, and nobody knows which of them is wrong: this one is asked for all of it.
    return yield* this.#ask(peer, asking, undefined);
  }

  /** … for all that is open, or for the rest of the one that is. */
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
    // Of its other parcels, too, the next ones have the right bytes more likely.
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

  /** @returns whether the peer gave all of a blob, and it is not what its name says */
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
    // Bytes that are not the blob's are left without an end: the next peer may have the right ones.
    if (rest !== undefined) return false;
    this.#changed(peer, begun.blob);
    return true;
  }

  /** @returns whether some blob is not what its name says */
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
  /** Not given yet: what has come right leaves it. */
  readonly open: Set<BlobId>;
  readonly ask: Ask;
  begun: Begun | undefined;
  /** In this round somebody had an error, or stayed busy: asked again, it may give what it has. */
  hasFailed: boolean;
}

/** A blob whose bytes were passed on up to some place, by one peer or by several. */
interface Begun {
  readonly blob: BlobId;
  readonly bytes: number;
  passedBytes: number;
  /** Of what was passed on; undefined when the receiver had the beginning before: only the receiver can tell then. */
  readonly check: BlobCheck | undefined;
}

const restOf = ({ bytes, passedBytes }: Begun): ByteRange => ({ offset: passedBytes, bytes: bytes - passedBytes });

function giveUp(asking: Asking): void {
  asking.begun?.check?.end();
  asking.begun = undefined;
}
