/**
 * Snapshot: a restore point, an immutable signed list of pages.
 *
 * It says what was found at `timeMs` and what could not be read then; it does not say that anybody holds a copy. Its id is
 * BLAKE3 of its sealed bytes; people see the first 8 digits.
 */
import { bytesOf, type ObjectId, parseHostId, type SourceId, sourceIdOf, splitSourceId } from '../core/ids.js';
import { type Signer, signable } from '../core/signed.js';
import {
  decodeFields,
  readArray,
  readBack,
  readBigCount,
  readCount,
  readHex,
  readParsed,
  readText,
  readTime,
} from './malformed-object.js';
import { bodyOf, seal, verifySeal } from './sealed-object.js';

export type SnapshotId = ObjectId;

export interface Snapshot {
  readonly source: SourceId;
  /** The origin's clock when the scan began, ms since 1970. */
  readonly timeMs: number;
  /**
   * A holder that saw it listed keeps it this long by its own running time, whatever later heads say. In days, 0 to
   * 3660.
   */
  readonly holdDays: number;
  /** Entries that could not be read and were taken over from an earlier snapshot. */
  readonly stale: number;
  /** Paths that could not be read and were in no earlier snapshot. A folder that could not be listed counts as one. */
  readonly missed: number;
  /** Entries of kind `file`, and the sum of their sizes (`storableBytes`); hard links count each time. */
  readonly files: number;
  readonly bytes: number;
  /**
   * The print of the file system that the source's folder lies on (file-system-print.ts), so that the next scan notices
   * when it is another one; in old snapshots, its device number.
   */
  readonly device: bigint;
  /** The snapshot that this one replaces, when it is a re-cut (recut.ts). */
  readonly recutOf: SnapshotId | undefined;
  /** In the order of the paths. */
  readonly pages: readonly ObjectId[];
}

const TAG = 'scatterhoard/snapshot/1';
/** Some 64 million files; 16384 × 34 bytes stay below the limit of an object. */
export const SNAPSHOT_PAGES_MAX = 16_384;
/** The limit of one object on the wire. */
const SNAPSHOT_BYTES_MAX = 1024 * 1024;
const HOLD_DAYS_MAX = 3660;
const COUNT_MAX = Number.MAX_SAFE_INTEGER;

/** A snapshot is partial when something could not be read: retention does not count it, and a person is told. */
export const isPartial = ({ stale, missed }: Pick<Snapshot, 'stale' | 'missed'>): boolean => stale > 0 || missed > 0;

/** The nearest sum of sizes that a snapshot can have: a sparse file with many names counts with each. */
export const storableBytes = (bytes: number): number => Math.min(Math.max(0, bytes), COUNT_MAX);

/** @throws Error that is a bug, when no host could read it */
export function encodeSnapshot(snapshot: Snapshot, signer: Signer): Uint8Array {
  const { origin, source } = splitSourceId(snapshot.source);
  const body = signable(TAG, [
    bytesOf(origin),
    source,
    snapshot.timeMs,
    snapshot.holdDays,
    snapshot.stale,
    snapshot.missed,
    snapshot.files,
    snapshot.bytes,
    snapshot.device,
    snapshot.recutOf === undefined ? null : bytesOf(snapshot.recutOf),
    snapshot.pages.map(bytesOf),
  ]);
  const sealed = seal(body, signer);
  readBack(
    () => `snapshot of ${snapshot.source}`,
    () => decodeSnapshot(sealed),
  );
  return sealed;
}

/** Does not check the signature: for bytes found under their own id in a signed head. @throws MalformedObject */
export function decodeSnapshot(sealed: Uint8Array): Snapshot {
  const fields = decodeFields(bodyOf(sealed, { bytesMax: SNAPSHOT_BYTES_MAX }), {
    tag: TAG,
    bytesMax: SNAPSHOT_BYTES_MAX,
    fields: 11,
  });
  const origin = parseHostId(readHex(fields[0], 'origin', 16));
  const name = readText(fields[1], 'source', { max: 63 });
  const pages = readArray(fields[10], 'pages', { min: 1, max: SNAPSHOT_PAGES_MAX });
  return {
    source: readParsed('source', () => sourceIdOf(origin, name)),
    timeMs: readTime(fields[2], 'time'),
    holdDays: readCount(fields[3], 'hold', { max: HOLD_DAYS_MAX }),
    stale: readCount(fields[4], 'stale', { max: COUNT_MAX }),
    missed: readCount(fields[5], 'missed', { max: COUNT_MAX }),
    files: readCount(fields[6], 'files'),
    bytes: readCount(fields[7], 'bytes'),
    device: readBigCount(fields[8], 'device', { min: 0n, max: 2n ** 64n - 1n }),
    recutOf: fields[9] === null ? undefined : (readHex(fields[9], 'recut of', 32) as SnapshotId),
    pages: pages.map(page => readHex(page, 'page id', 32) as ObjectId),
  };
}

/** @throws MalformedObject, BadSignature */
export function verifySnapshot(sealed: Uint8Array, publicKey: Uint8Array): Snapshot {
  verifySeal(sealed, { publicKey, bytesMax: SNAPSHOT_BYTES_MAX });
  return decodeSnapshot(sealed);
}
