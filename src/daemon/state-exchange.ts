/**
 * State exchange: reads logs and heads from other hosts over streams, and gives them this host's. Gossip only hints;
 * the truth comes from here.
 *
 * A segment counts when the host that it names signed its end; a head when its origin signed it. What was read is kept
 * in the log archive, so that a host that restarts knows what others held, and can speak for a writer that is away.
 */
import type { Logger } from 'pino';
import { type Checkpoint, type CheckpointPiece, checkpointMessage } from '../core/checkpoint.js';
import { mayHoldCopies } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import type { FrameNumber } from '../core/frame-window.js';
import type { LogPosition, LogSegment } from '../core/holdings-log.js';
import { comparePositions, positionMessage } from '../core/holdings-log.js';
import { type HostId, type PeerName, type SourceId, type StoreId, splitSourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { GossipMessage, Heartbeat } from '../core/messages.js';
import { withDeadline } from '../net/deadline.js';
import type { Net } from '../net/net.js';
import { askState, STATE_VECTOR_MAX, type StatePart, type StateRequest, serveState } from '../net/state-protocol.js';
import { verify } from '../platform/ed25519.js';
import type { AppendVerdict, LogArchive } from '../store/log-archive.js';
import { formerBootMax } from './boot-counter.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Unstamped } from './driver.js';
import type { OwnStores } from './own-stores.js';
import type { Revocations } from './revocations.js';
import type { Roster } from './roster.js';

/** Operations in one segment of an answer: some 200 KiB. */
const SEGMENT_OPS = 4096;
/** Time for a whole answer, in ms: 200,000 operations are some 10 MB. */
const ASK_MS_MAX = 120_000;

export interface StateExchangeOptions {
  readonly net: Net;
  readonly known: Pick<Known, 'positions' | 'outOfReach' | 'host' | 'startOf'>;
  /** What this host says about itself. */
  readonly heartbeat: () => Heartbeat;
  readonly roster: Roster;
  readonly revocations: Pick<Revocations, 'wordsOf'>;
  readonly stores: OwnStores;
  readonly catalog: CatalogKeeper;
  readonly archive: LogArchive;
  /** Called with a head of one of this host's own sources, as a peer remembers it. */
  readonly onOwnHead: (source: SourceId, sealed: Uint8Array, from: PeerName) => Promise<void>;
  /** The last gossip frame that a trusted member has heard of this host. */
  readonly onOwnFrame: (frame: FrameNumber, from: PeerName) => void;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class StateExchange {
  readonly #options: StateExchangeOptions;
  readonly #askingBack = new Set<HostId>();

  constructor(options: StateExchangeOptions) {
    this.#options = options;
  }

  /** Tells the machine what others held when this service last ran. */
  async recall(): Promise<void> {
    const { archive, roster, tell } = this.#options;
    for (const { host, position } of archive.stores()) {
      if (!this.#readsLogsOf(host) || host === roster.self) continue;
      for (const piece of archive.pieces(host, position.store)) tell({ is: 'checkpoint', piece });
      for (let seq = archive.checkpoint(host, position.store)?.at.seq ?? 0; seq < position.seq; ) {
        const segment = archive.segment(host, position.store, seq, SEGMENT_OPS);
        if (segment === undefined || segment.end.seq <= seq) break;
        tell({ is: 'log', segment });
        seq = segment.end.seq;
      }
    }
  }

  async serve(): Promise<void> {
    await serveState(this.#options.net, (request, from) => this.#answer(request, from));
  }

  /** Carries out `ask-state`. */
  async ask(host: HostId): Promise<boolean> {
    const { net, known, roster, catalog, tell, log, signal } = this.#options;
    const peer = roster.peerOf(host);
    if (peer === undefined) {
      tell({ is: 'state-answered', host, ok: false });
      return false;
    }
    // The host's own logs come first, because it knows those for certain. A log that finds no room in the request is
    // sent again, which only costs bytes.
    const positions = [...known.positions()].sort((a, b) => Number(b.host === host) - Number(a.host === host));
    const logs = positions.slice(0, STATE_VECTOR_MAX).map(({ host: writer, position: { store, epoch, seq } }) => ({
      host: writer,
      store,
      epoch,
      seq,
    }));
    const request: StateRequest = {
      logs,
      heads: catalog
        .hints()
        .slice(0, STATE_VECTOR_MAX)
        .map(({ source, seq }) => ({ source, seq })),
      outOfReach: known.outOfReach(),
      yourFrame: this.#lastFrame(host, peer),
    };
    let ok = false;
    try {
      await withDeadline(ASK_MS_MAX, [signal], async limited => {
        for await (const part of askState(net, peer, request, { signal: limited }))
          await this.#take(part, peer, limited);
      });
      ok = true;
    } catch (error) {
      if (!signal.aborted)
        log.debug({ code: 'STATE_NOT_READ', host, err: error }, 'could not read the state of a host');
    }
    tell({ is: 'state-answered', host, ok });
    return ok;
  }

  /** As the machine does: what others' logs say is not kept either. */
  #readsLogsOf(host: HostId): boolean {
    return mayHoldCopies(this.#options.roster.member(host));
  }

  /**
   * Takes a segment from its writer or from a host that keeps its words: checks it, tells the machine, keeps it.
   * @returns false when its signature is wrong
   */
  #takeSegment(segment: LogSegment, from: HostId | undefined): boolean {
    const { roster, tell, archive } = this.#options;
    const key = roster.keyOf(segment.host);
    if (key === undefined) return true;
    const message = positionMessage(segment.host, segment.end);
    const signer = this.#signerOf(segment.host, key, { message, signature: segment.signature });
    if (signer === undefined) return false;
    if (segment.host === roster.self) {
      this.#hearOfOwnLog(segment.end);
      return true;
    }
    if (signer === 'former') return true;
    if (!this.#readsLogsOf(segment.host)) return true;
    const relayed = from !== segment.host;
    tell({ is: 'log', segment, relayed });
    this.#keep(() => archive.append(segment), { host: segment.host, store: segment.end.store, relayed });
    return true;
  }

  /** As `#takeSegment`, for a piece of a checkpoint. */
  #takePiece(piece: CheckpointPiece, from: HostId | undefined): boolean {
    const { roster, tell, archive } = this.#options;
    const { checkpoint } = piece;
    const key = roster.keyOf(checkpoint.host);
    if (key === undefined) return true;
    const message = checkpointMessage(checkpoint.host, checkpoint);
    const signer = this.#signerOf(checkpoint.host, key, { message, signature: checkpoint.signature });
    if (signer === undefined) return false;
    if (checkpoint.host === roster.self) {
      this.#hearOfOwnLog(checkpoint.at);
      return true;
    }
    if (signer === 'former') return true;
    if (!this.#readsLogsOf(checkpoint.host)) return true;
    const relayed = from !== checkpoint.host;
    tell({ is: 'checkpoint', piece, relayed });
    const { store } = checkpoint.at;
    const take = async (): Promise<AppendVerdict> => {
      const verdict = await archive.takePiece(piece);
      // The writer sent a checkpoint of what this host has read past: only here does it show that this was another log.
      if (verdict === 'fork' && !relayed) tell({ is: 'log-forked', host: checkpoint.host, store });
      return verdict;
    };
    this.#keep(take, { host: checkpoint.host, store, relayed });
    return true;
  }

  /**
   * With which key of a host a part of its log is signed. Of what was signed with a key that another machine had nothing
   * is used, but for this: a log of our own may lack what somebody remembers of it.
   */
  #signerOf(
    host: HostId,
    present: Uint8Array,
    { message, signature }: { readonly message: Uint8Array; readonly signature: Uint8Array },
  ): 'present' | 'former' | undefined {
    if (verify(present, message, signature)) return 'present';
    const words = this.#options.revocations.wordsOf(host);
    return words.some(({ key }) => verify(key, message, signature)) ? 'former' : undefined;
  }

  /** The error for a wrongly signed part of a writer's log. It is an offence only of the writer itself. */
  #wronglySigned(writer: HostId, from: HostId | undefined): ClusterError {
    const { roster, net } = this.#options;
    const peer = from === writer ? roster.peerOf(writer) : undefined;
    const what = `a part of a log of ${roster.nameOf(writer)} is not signed by it; nothing of it was used`;
    const error = new ClusterError('WRONGLY_SIGNED', what, { blame: peer === undefined ? 'passing' : 'peer' });
    if (peer !== undefined) net.reportOffence(peer, error);
    return error;
  }

  /** Not waited for: what was read counts already. */
  #keep(
    take: () => Promise<AppendVerdict>,
    { host, store, relayed }: { readonly host: HostId; readonly store: StoreId; readonly relayed: boolean },
  ): void {
    const { archive, known, log } = this.#options;
    const keep = async (): Promise<void> => {
      let verdict = await take();
      if (verdict === 'full') {
        // The machine has given up another log for this one, or has not read this one.
        const ofHost = [...known.positions()].filter(({ host: writer }) => writer === host);
        const read = new Set(ofHost.map(({ position }) => position.store));
        if (!read.has(store)) return;
        await archive.keepOnly(host, read);
        verdict = await take();
      }
      // Its writer has another log than the one kept here: the kept one counts for nothing, and the log is read again.
      if (verdict === 'fork' && !relayed) await archive.drop(host, store);
    };
    keep().catch((error: unknown) => {
      log.error(
        { code: 'ARCHIVE_FAILED', err: error },
        'a log could not be kept; it will be read again after a restart',
      );
    });
  }

  /** Not waited for: opening a store again takes longer than an answer may. */
  #hearOfOwnLog(theirs: LogPosition): void {
    const { stores, log } = this.#options;
    stores.hearOfOwnLog(theirs).catch((error: unknown) => {
      log.error(
        { code: 'LOG_NOT_COMPARED', store: theirs.store, err: error },
        'what another host remembers of a log of this host could not be compared with the log; that is tried again at the next connection',
      );
    });
  }

  async #take(part: StatePart, peer: PeerName, signal: AbortSignal): Promise<void> {
    const { roster, catalog, tell, log } = this.#options;
    switch (part.kind) {
      case 'heartbeat': {
        const from = roster.hostOf(peer);
        if (from !== undefined && !this.#isFromBefore(from, part.heartbeat))
          tell({ is: 'heard', from, message: part.heartbeat });
        return;
      }
      case 'your-frame':
        if (roster.isTrusted(peer)) this.#options.onOwnFrame(part.frame, peer);
        return;
      case 'segment':
        if (!this.#takeSegment(part.segment, roster.hostOf(peer)))
          throw this.#wronglySigned(part.segment.host, roster.hostOf(peer));
        return;
      case 'checkpoint':
        if (!this.#takePiece(part.piece, roster.hostOf(peer)))
          throw this.#wronglySigned(part.piece.checkpoint.host, roster.hostOf(peer));
        return;
      case 'head':
        try {
          if (splitSourceId(part.source).origin === roster.self)
            await this.#options.onOwnHead(part.source, part.bytes, peer);
          else await catalog.offer(part.bytes, peer, signal);
        } catch (error) {
          // One source that cannot be read must not keep this host from the others; its head is asked for at the next
          // heartbeat.
          signal.throwIfAborted();
          log.warn(
            { code: 'HEAD_NOT_TAKEN', source: part.source, peer, err: error },
            'a head that another host sent is not in force here; it is asked for again',
          );
        }
        return;
      default:
        part satisfies never;
    }
  }

  /** Takes hints of a member; those that carry signatures are checked. */
  hear(from: HostId, message: GossipMessage): void {
    if (message.kind === 'config') return;
    if (message.kind === 'log') {
      // A gossiping host speaks only of its own stores.
      if (message.segment.host === from && !this.#takeSegment(message.segment, from)) this.#wronglySigned(from, from);
    } else if (message.kind !== 'heartbeat' || !this.#isFromBefore(from, message))
      this.#options.tell({ is: 'heard', from, message });
  }

  /**
   * True for what a machine says of itself that has not heard yet that it goes on as this host: it starts again as soon
   * as it has, with a higher number. By that one, the host might seem to run on two machines.
   */
  #isFromBefore(host: HostId, { boot }: Heartbeat): boolean {
    return boot <= formerBootMax(this.#options.revocations.wordsOf(host).length);
  }

  async *#answer(request: StateRequest, from: PeerName): AsyncGenerator<StatePart> {
    const { known, heartbeat, roster, stores, archive } = this.#options;
    const heads = new Map(request.heads.map(({ source, seq }) => [source, seq]));
    const host = roster.hostOf(from);
    if (request.yourFrame !== undefined && roster.isTrusted(from)) this.#options.onOwnFrame(request.yourFrame, from);
    const frame = this.#lastFrame(host, from);
    if (frame !== undefined) yield { kind: 'your-frame', frame };
    yield* this.#endsOf(host);
    yield { kind: 'heartbeat', heartbeat: heartbeat() };

    // Keyed by writer too: otherwise a writer that names another's store would hide how far that log was read.
    const asked = new Map(request.logs.map(log => [`${log.host}/${log.store}`, log]));
    const outOfReach = new Set(request.outOfReach);
    // Somebody with this host's identity wrote it. The asker's unsigned words are not believed: it is asked for this
    // host's own signed words.
    let knowsMore = false;
    for (const position of stores.positions()) {
      const read = asked.get(`${roster.self}/${position.store}`);
      const same =
        read !== undefined &&
        read.epoch.counter === position.epoch.counter &&
        read.epoch.random === position.epoch.random;
      if (read !== undefined && comparePositions(read, position) > 0) knowsMore = true;
      yield* this.#logAfter(roster.self, position.store, same ? read.seq : 0);
    }
    for (const { host, position } of archive.stores()) {
      // A writer that is up gives its own log: otherwise each host would hear from all others what one has said.
      const isAway = known.host(host)?.connected === false || outOfReach.has(host);
      if (host === roster.hostOf(from) || !isAway) continue;
      const read = asked.get(`${host}/${position.store}`);
      const same =
        read !== undefined &&
        read.epoch.counter === position.epoch.counter &&
        read.epoch.random === position.epoch.random;
      if (read !== undefined && !same && read.epoch.counter > position.epoch.counter) continue;
      yield* this.#logAfter(host, position.store, same ? read.seq : 0);
    }
    const asker = roster.hostOf(from);
    // An untrusted host gets what this host remembers of that host's own sources, and of nobody else's. It gets the logs,
    // for only they say who has its copies: without them it would cut out of its snapshots what others have.
    const mayHave = (source: SourceId) => roster.isTrusted(from) || splitSourceId(source).origin === asker;
    yield* this.#heads(heads, { asker, may: mayHave });
    if (knowsMore && asker !== undefined) this.#askBack(asker);
  }

  /** The last frame heard of a host; frame 0 of a start that is known only by a stream. */
  #lastFrame(host: HostId | undefined, peer: PeerName): FrameNumber | undefined {
    const gossiped = this.#options.net.lastFrame(peer);
    const told = host === undefined ? undefined : this.#options.known.startOf(host);
    return told !== undefined && told.boot > (gossiped?.boot ?? 0) ? { boot: told.boot, frame: 0 } : gossiped;
  }

  /** Not waited for, and not repeated while one is under way: an answer does not depend on the asker's own. */
  #askBack(host: HostId): void {
    if (this.#askingBack.has(host)) return;
    this.#askingBack.add(host);
    void this.ask(host).finally(() => this.#askingBack.delete(host));
  }

  /**
   * How far this host remembers the asker's own logs, in the asker's signed words: if the asker has less, it must know.
   */
  *#endsOf(host: HostId | undefined): Generator<StatePart> {
    const { archive } = this.#options;
    for (const { host: writer, position } of archive.stores()) {
      if (writer !== host) continue;
      const segment = archive.end(writer, position.store);
      const checkpoint = archive.checkpoint(writer, position.store);
      if (segment !== undefined) yield { kind: 'segment', segment };
      // Nothing after the checkpoint was read.
      else if (checkpoint !== undefined) yield told(checkpoint);
    }
  }

  /**
   * Heads that are not older than those the asker knows; and those of its own that are valid no more, so that it uses
   * none of their numbers again.
   */
  *#heads(
    known: ReadonlyMap<SourceId, number>,
    { asker, may }: { readonly asker: HostId | undefined; readonly may: (source: SourceId) => boolean },
  ): Generator<StatePart> {
    for (const { head, sealed } of this.#options.catalog.heads()) {
      const { source, seq } = head;
      if (may(source) && seq >= (known.get(source) ?? 0)) yield { kind: 'head', source, bytes: sealed };
    }
    if (asker === undefined) return;
    for (const { head, sealed } of this.#options.catalog.voidHeadsOf(asker))
      yield { kind: 'head', source: head.source, bytes: sealed };
  }

  *#logAfter(host: HostId, store: StoreId, fromSeq: number): Generator<StatePart> {
    const { archive } = this.#options;
    const newest = archive.checkpoint(host, store);
    // A host that has read past the checkpoint may let go what came before it, too.
    if (newest !== undefined && fromSeq >= newest.at.seq) yield told(newest);
    for (let seq = fromSeq; ; ) {
      const checkpoint = archive.checkpoint(host, store);
      if (checkpoint !== undefined && seq < checkpoint.at.seq) {
        for (const piece of archive.pieces(host, store)) {
          yield { kind: 'checkpoint', piece };
          if (piece.first + piece.ops.length === checkpoint.count) seq = checkpoint.at.seq;
        }
        // A later checkpoint may have replaced it before its last piece was sent.
        if (seq === checkpoint.at.seq || archive.checkpoint(host, store)?.at.seq !== checkpoint.at.seq) continue;
        return;
      }
      const segment = archive.segment(host, store, seq, SEGMENT_OPS);
      if (segment === undefined || segment.end.seq <= seq) return;
      yield { kind: 'segment', segment };
      seq = segment.end.seq;
    }
  }
}

const told = (checkpoint: Checkpoint): StatePart => ({
  kind: 'checkpoint',
  piece: { checkpoint, first: 0, ops: [] },
});
