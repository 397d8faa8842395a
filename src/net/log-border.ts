/**
 * Log border: positions, segments and checkpoints of holdings logs, between core's words and the wire's (gossip and state alike).
 *
 * Only shape is checked here. `src/core`, which knows the members and the logs, judges whether a signature is its
 * host's and whether a segment extends what is known.
 */
import type { Segment as WireSegment } from '../../protocols/gossip/gossip.js';
import type { CheckpointPiece as WirePiece } from '../../protocols/state/state.js';
import { CHECKPOINT_OPS_MAX, type CheckpointPiece } from '../core/checkpoint.js';
import { decodeOp, type Epoch, encodeOp, type LogPosition, type LogSegment } from '../core/holdings-log.js';
import { bytesOf, hexOf, parseHostId, parseStoreId } from '../core/ids.js';
import { countFrom } from './malformed.js';

type WirePosition = NonNullable<WireSegment['end']>;

/**
 * Operations in one segment. 4096 of 40 bytes are 160 KiB, well inside a state message; gossip's 64 KiB cut earlier.
 */
export const SEGMENT_OPS_MAX = 4096;
const HASH_BYTES = 32;
const EPOCH_RANDOM_BYTES = 8;
const SIGNATURE_BYTES = 64;

function fixedHexFrom(bytes: Uint8Array, length: number): string {
  if (bytes.length !== length) throw new RangeError(`expected ${length} bytes, got ${bytes.length}`);
  return hexOf(bytes);
}

/** 32 bytes in hex: a digest, or the hash of something signed. */
export const hashFrom = (bytes: Uint8Array): string => fixedHexFrom(bytes, HASH_BYTES);

export function epochFrom(counter: number, random: Uint8Array): Epoch {
  return { counter: countFrom(counter), random: fixedHexFrom(random, EPOCH_RANDOM_BYTES) };
}

export function positionFrom(wire: WirePosition | undefined): LogPosition {
  if (wire === undefined) throw new RangeError('no position');
  return {
    store: parseStoreId(hexOf(wire.store)),
    epoch: epochFrom(wire.epochCounter, wire.epochRandom),
    seq: countFrom(wire.seq),
    digest: hashFrom(wire.digest),
  };
}

export function toPosition({ store, epoch, seq, digest }: LogPosition): WirePosition {
  return {
    store: bytesOf(store),
    epochCounter: epoch.counter,
    epochRandom: bytesOf(epoch.random),
    seq,
    digest: bytesOf(digest),
  };
}

export function segmentFrom(wire: WireSegment): LogSegment {
  const end = positionFrom(wire.end);
  if (end.seq < wire.ops.length) throw new RangeError(`${wire.ops.length} operations up to number ${end.seq}`);
  const signature = signatureFrom(wire.signature);
  return { host: parseHostId(hexOf(wire.host)), end, ops: wire.ops.map(decodeOp), signature };
}

function signatureFrom(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== SIGNATURE_BYTES) throw new RangeError('not a signature');
  return bytes;
}

export function toSegment({ host, end, ops, signature }: LogSegment): WireSegment {
  return { host: bytesOf(host), end: toPosition(end), ops: ops.map(encodeOp), signature };
}

export function pieceFrom({ checkpoint: wire, first, ops }: WirePiece): CheckpointPiece {
  if (wire === undefined) throw new RangeError('no checkpoint');
  const at = positionFrom(wire.at);
  const count = countFrom(wire.count);
  // Each operation in it was an operation of the log.
  if (count > Math.min(CHECKPOINT_OPS_MAX, at.seq))
    throw new RangeError(`contents of ${count} operations at ${at.seq}`);
  if (countFrom(first) + ops.length > count)
    throw new RangeError(`${ops.length} operations after ${first} of ${count}`);
  const checkpoint = {
    host: parseHostId(hexOf(wire.host)),
    at,
    count,
    digest: hashFrom(wire.digest),
    signature: signatureFrom(wire.signature),
  };
  return { checkpoint, first, ops: ops.map(decodeOp) };
}

export function toPiece({ checkpoint, first, ops }: CheckpointPiece): WirePiece {
  const { host, at, count, digest, signature } = checkpoint;
  return {
    checkpoint: { host: bytesOf(host), at: toPosition(at), count, digest: bytesOf(digest), signature },
    first,
    ops: ops.map(encodeOp),
  };
}
