/**
 * Head: an origin's newest signed word on a source: which snapshots are listed, numbered by a strictly rising `seq`.
 *
 * Of two heads with one seq, the one with the lower hash wins, everywhere. By its hash of the previous head, a head
 * commits its writer to all heads before it. It does not say that anybody holds what it lists.
 */
import { hashHex } from '../core/hash.js';
import { bytesOf, type ObjectId, parseHostId, type SourceId, sourceIdOf, splitSourceId } from '../core/ids.js';
import { type Signer, signable } from '../core/signed.js';
import {
  decodeFields,
  MalformedObject,
  readArray,
  readBack,
  readCount,
  readHex,
  readParsed,
  readText,
  readTime,
} from './malformed-object.js';
import { bodyOf, seal, verifySeal } from './sealed-object.js';
import type { SnapshotId } from './snapshot.js';

export interface ListedSnapshot {
  readonly id: SnapshotId;
  readonly timeMs: number;
  /** False for a partial snapshot. */
  readonly complete: boolean;
  /** The seq of the first head that listed it. */
  readonly firstSeq: number;
}

export interface Head {
  readonly source: SourceId;
  /** From 1. */
  readonly seq: number;
  /** Oldest first; snapshots of the same time in the order of their ids. */
  readonly snapshots: readonly ListedSnapshot[];
  /** `headHash` of the head that the origin knew before this one; undefined for the first. 64 hex digits. */
  readonly previous: string | undefined;
  /**
   * Snapshots from this time on contain a mass change that nobody has accepted: trees in stores show the last one
   * before it.
   */
  readonly unacceptedSinceMs?: number;
}

const TAG = 'scatterhoard/head/1';
/** Hourly snapshots for five months; retention keeps some 50. */
export const HEAD_SNAPSHOTS_MAX = 4096;
/** 4096 × 54 bytes, and the rest. */
const HEAD_BYTES_MAX = 256 * 1024;

/** @throws Error that is a bug, when no host could read it */
export function encodeHead({ source, seq, snapshots, previous, unacceptedSinceMs }: Head, signer: Signer): Uint8Array {
  const { origin, source: name } = splitSourceId(source);
  const body = signable(TAG, [
    bytesOf(origin),
    name,
    seq,
    previous === undefined ? null : bytesOf(previous),
    snapshots.map(({ id, timeMs, complete, firstSeq }) => [bytesOf(id), timeMs, complete ? 1 : 0, firstSeq]),
    ...(unacceptedSinceMs === undefined ? [] : [unacceptedSinceMs]),
  ]);
  const sealed = seal(body, signer);
  readBack(
    () => `head ${seq} of ${source}`,
    () => decodeHead(sealed),
  );
  return sealed;
}

/** Does not check the signature: for bytes that this host verified before it kept them. @throws MalformedObject */
export function decodeHead(sealed: Uint8Array): Head {
  const fields = decodeFields(bodyOf(sealed, { bytesMax: HEAD_BYTES_MAX }), {
    tag: TAG,
    bytesMax: HEAD_BYTES_MAX,
    fields: 5,
    optional: 1,
  });
  const origin = parseHostId(readHex(fields[0], 'origin', 16));
  const name = readText(fields[1], 'source', { max: 63 });
  const source = readParsed('source', () => sourceIdOf(origin, name));
  const seq = readCount(fields[2], 'seq', { min: 1 });
  const previous = fields[3] === null ? undefined : readHex(fields[3], 'previous', 32);
  const snapshots = readArray(fields[4], 'snapshots', { max: HEAD_SNAPSHOTS_MAX }).map((value): ListedSnapshot => {
    const [id, timeMs, complete, firstSeq] = readArray(value, 'listed snapshot', { min: 4, max: 4 });
    return {
      id: readHex(id, 'snapshot id', 32) as ObjectId,
      timeMs: readTime(timeMs, 'time'),
      complete: readCount(complete, 'complete', { max: 1 }) === 1,
      firstSeq: readCount(firstSeq, 'first seq', { min: 1, max: seq }),
    };
  });
  for (const [index, listed] of snapshots.entries()) {
    const before = snapshots[index - 1];
    if (before !== undefined && compareListed(before, listed) >= 0)
      throw new MalformedObject('snapshots: not in order');
  }
  const head = { source, seq, snapshots, previous };
  return fields[5] === undefined ? head : { ...head, unacceptedSinceMs: readTime(fields[5], 'unaccepted since') };
}

/** @throws MalformedObject, BadSignature */
export function verifyHead(sealed: Uint8Array, publicKey: Uint8Array): Head {
  verifySeal(sealed, { publicKey, bytesMax: HEAD_BYTES_MAX });
  return decodeHead(sealed);
}

/** BLAKE3 of the sealed bytes, 64 hex digits. */
export const headHash = (sealed: Uint8Array): string => hashHex(sealed);

/** The order of a head's list: oldest first. */
export function compareListed(a: ListedSnapshot, b: ListedSnapshot): number {
  return a.timeMs - b.timeMs || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}
