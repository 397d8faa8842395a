/**
 * State protocol: asks the writer of a log for the truth (or a peer that keeps its words, while the writer is away).
 *
 * The asker says how far it has each log and each head; the answer is everything beyond that, and an end mark. Only
 * shape is checked here: signatures, epochs and chains are judged by `src/core`, which knows the members. See
 * protocols/state/state.md.
 */
import { Ask, Part } from '../../protocols/state/state.js';
import { type CheckpointPiece, PIECE_OPS_MAX } from '../core/checkpoint.js';
import { assert, unreachable } from '../core/fault.js';
import type { FrameNumber } from '../core/frame-window.js';
import type { Epoch, LogSegment } from '../core/holdings-log.js';
import {
  bytesOf,
  type HostId,
  hexOf,
  type PeerName,
  parseHostId,
  parseSourceId,
  parseStoreId,
  type SourceId,
  type StoreId,
} from '../core/ids.js';
import type { Heartbeat } from '../core/messages.js';
import { type AskOptions, ask } from './ask.js';
import { decodeHeartbeat, encodeHeartbeat } from './gossip-border.js';
import { epochFrom, pieceFrom, SEGMENT_OPS_MAX, segmentFrom, toPiece, toSegment } from './log-border.js';
import { countFrom, malformed, reading } from './malformed.js';
import { cutShort, REQUEST_STALL_MS, readMessage, writeMessage } from './message-stream.js';
import type { Net } from './net.js';
import { limited } from './wire-codec.js';

export const STATE_PROTOCOL = '/scatterhoard/state/1';
/** Logs, and heads, in one ask: 64 hosts with 64 stores each. */
export const STATE_VECTOR_MAX = 4096;
/** A signed head's bytes: its listed snapshots, some hundreds of 60 bytes. */
const HEAD_BYTES_MAX = 512 * 1024;
/** One part of an answer. 4096 operations are 160 KiB, a head at most 512. */
const STATE_PART_BYTES_MAX = 1 << 20;
/** A vector of 4096 logs takes 320 KiB, one of 4096 heads at most 470. */
const ASK_BYTES_MAX = 1 << 20;
/** A cluster has 1000 members at most. */
const OUT_OF_REACH_MAX = 1024;
const STATE_STREAMS_MAX = 4;

const LIMITED_ASK = limited(Ask, {
  logs: STATE_VECTOR_MAX,
  heads: STATE_VECTOR_MAX,
  outOfReach: OUT_OF_REACH_MAX,
});
const LIMITED_PART = limited(Part, { segment: { ops: SEGMENT_OPS_MAX }, checkpoint: { ops: PIECE_OPS_MAX } });

export interface StateRequest {
  /** How far the asker has each log: operations 1 to `seq` of that epoch. It has nothing of a log that is left out. */
  readonly logs: readonly {
    readonly host: HostId;
    readonly store: StoreId;
    readonly epoch: Epoch;
    readonly seq: number;
  }[];
  /** The newest head of each source that the asker knows. */
  readonly heads: readonly { readonly source: SourceId; readonly seq: number }[];
  /** Hosts that the asker hears of but is not connected to: it has their logs from others, or not at all. */
  readonly outOfReach: readonly HostId[];
  /**
   * The last gossip frame that the asker has heard of the asked host; its number is 0 where the asker knows that start
   * only by a stream.
   */
  readonly yourFrame: FrameNumber | undefined;
}

export type StatePart =
  /** The answering host's own, always first: what it lends, and how far its logs go. */
  | { readonly kind: 'heartbeat'; readonly heartbeat: Heartbeat }
  | { readonly kind: 'segment'; readonly segment: LogSegment }
  /** A piece of a log's newest checkpoint; without operations it only says that there is one. */
  | { readonly kind: 'checkpoint'; readonly piece: CheckpointPiece }
  /** The last gossip frame that the answering host has heard of the asker, as in the request. */
  | { readonly kind: 'your-frame'; readonly frame: FrameNumber }
  /** A signed head as its origin made it, not yet verified. */
  | { readonly kind: 'head'; readonly source: SourceId; readonly bytes: Uint8Array };

/**
 * What this host has beyond a request, in the order of use: each log's checkpoint, then its segments in rising order.
 */
export type StateProvider = (request: StateRequest, from: PeerName, signal: AbortSignal) => AsyncIterable<StatePart>;

export async function serveState(net: Net, provide: StateProvider): Promise<void> {
  await net.handle(
    STATE_PROTOCOL,
    async (stream, from, signal) => {
      const wire = await readMessage(stream, LIMITED_ASK, {
        what: 'state request',
        bytesMax: ASK_BYTES_MAX,
        signal,
        stallMs: REQUEST_STALL_MS,
      });
      const request = reading('state request', () => requestFrom(wire));
      for await (const part of provide(request, from, signal))
        await writeMessage(stream, Part, toPart(part), { signal });
      await writeMessage(stream, Part, { end: {} }, { signal });
    },
    { streamsMax: STATE_STREAMS_MAX },
  );
}

/**
 * Everything that the peer has beyond `request`. Ends only when the peer has said that this was all.
 * @throws ClusterError PEER_UNREACHABLE, STREAM_BROKEN, STREAM_STALLED (passing), MALFORMED_MESSAGE (peer)
 */
export function askState(
  net: Net,
  peer: PeerName,
  request: StateRequest,
  options: AskOptions = {},
): AsyncGenerator<StatePart, void, undefined> {
  assert(
    request.logs.length <= STATE_VECTOR_MAX && request.heads.length <= STATE_VECTOR_MAX,
    `a state request of ${request.logs.length} logs and ${request.heads.length} heads`,
  );
  assert(request.outOfReach.length <= OUT_OF_REACH_MAX, `${request.outOfReach.length} hosts out of reach`);
  const question = {
    protocol: STATE_PROTOCOL,
    request: toAsk(request),
    requestCodec: Ask,
    replyCodec: LIMITED_PART,
    what: 'state answer',
    bytesMax: STATE_PART_BYTES_MAX,
  };
  return ask(net, peer, question, options, async function* read(parts) {
    for await (const wire of parts) {
      if (wire.end !== undefined) return;
      const part = reading('state answer', () => partFrom(wire));
      // A kind of a later version: this build does not know what to do with it.
      if (part !== undefined) yield part;
    }
    throw cutShort('state answer');
  });
}

function requestFrom({ logs, heads, yourFrame, outOfReach }: Ask): StateRequest {
  return {
    logs: logs.map(({ host, store, epochCounter, epochRandom, seq }) => ({
      host: parseHostId(hexOf(host)),
      store: parseStoreId(hexOf(store)),
      epoch: epochFrom(epochCounter, epochRandom),
      seq: countFrom(seq),
    })),
    heads: heads.map(({ source, seq }) => ({ source: parseSourceId(source), seq: countFrom(seq) })),
    outOfReach: outOfReach.map(host => parseHostId(hexOf(host))),
    yourFrame: yourFrame === undefined ? undefined : frameFrom(yourFrame),
  };
}

function toAsk({ logs, heads, yourFrame, outOfReach }: StateRequest): Ask {
  return {
    logs: logs.map(({ host, store, epoch, seq }) => ({
      host: bytesOf(host),
      store: bytesOf(store),
      epochCounter: epoch.counter,
      epochRandom: bytesOf(epoch.random),
      seq,
    })),
    heads: heads.map(({ source, seq }) => ({ source, seq })),
    outOfReach: outOfReach.map(bytesOf),
    ...(yourFrame === undefined ? {} : { yourFrame }),
  };
}

const frameFrom = ({ boot, frame }: { readonly boot: number; readonly frame: number }): FrameNumber => ({
  boot: countFrom(boot),
  frame: countFrom(frame),
});

function partFrom({ segment, checkpoint, head, heartbeat, yourFrame }: Part): StatePart | undefined {
  if (segment !== undefined) return { kind: 'segment', segment: segmentFrom(segment) };
  if (checkpoint !== undefined) return { kind: 'checkpoint', piece: pieceFrom(checkpoint) };
  if (heartbeat !== undefined) return { kind: 'heartbeat', heartbeat: decodeHeartbeat(heartbeat) };
  if (yourFrame !== undefined) return { kind: 'your-frame', frame: frameFrom(yourFrame) };
  if (head === undefined) return undefined;
  if (head.bytes.length > HEAD_BYTES_MAX) throw malformed(`signed head of ${head.bytes.length} bytes`);
  return { kind: 'head', source: parseSourceId(head.source), bytes: head.bytes };
}

function toPart(part: StatePart): Part {
  switch (part.kind) {
    case 'segment':
      assert(part.segment.ops.length <= SEGMENT_OPS_MAX, `a segment of ${part.segment.ops.length} operations`);
      return { segment: toSegment(part.segment) };
    case 'checkpoint':
      assert(part.piece.ops.length <= PIECE_OPS_MAX, `a piece of ${part.piece.ops.length} operations`);
      return { checkpoint: toPiece(part.piece) };
    case 'head':
      assert(part.bytes.length <= HEAD_BYTES_MAX, `a head of ${part.bytes.length} bytes`);
      return { head: { source: part.source, bytes: part.bytes } };
    case 'heartbeat':
      return { heartbeat: encodeHeartbeat(part.heartbeat) };
    case 'your-frame':
      return { yourFrame: part.frame };
    default:
      return unreachable(part);
  }
}
