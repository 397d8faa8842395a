/**
 * Backup protocol: a member tells the origin of a source to take a snapshot of it now, so that `backup` works on any
 * host. See protocols/backup/backup.md.
 */
import { type Missing, Order, Reply, type Unread } from '../../protocols/backup/backup.js';
import { ClusterError } from '../core/fault.js';
import {
  bytesOf,
  hexOf,
  type ObjectId,
  type PeerName,
  parseObjectId,
  parseSourceId,
  type SourceId,
} from '../core/ids.js';
import { type AskOptions, ask } from './ask.js';
import { countFrom, malformed, reading } from './malformed.js';
import { cutShort, REQUEST_STALL_MS, readMessage, writeMessage } from './message-stream.js';
import type { Net } from './net.js';
import { limited } from './wire-codec.js';

const BACKUP_PROTOCOL = '/scatterhoard/backup/1';
/** How many paths of unreadable files are reported. */
export const UNREAD_MAX = 20;
/** … how many of mount points that were not entered, and how many of what is missing. */
export const UNENTERED_MAX = 20;
export const MISSING_MAX = 20;
const PATH_BYTES_MAX = 4096;
const BECAUSE_CHARACTERS_MAX = 32;
const ORDER_BYTES_MAX = 1024;
/** 60 paths of 4 KiB, and the rest of the reply. */
const REPLY_BYTES_MAX = 256 * 1024;
/** In ms. The first snapshot of some terabytes takes hours, during which nothing is sent. */
const RUN_MS_MAX = 6 * 3_600_000;

const LIMITED_REPLY = limited(Reply, {
  taken: { unread: UNREAD_MAX, unenteredPaths: UNENTERED_MAX, letGo: { parts: MISSING_MAX } },
  missing: { parts: MISSING_MAX },
});

/** A path, and a word for what is the matter with it. */
export interface PathProblem {
  readonly path: Buffer;
  readonly because: string;
}

/** What a source lacks because it is away, not because it was deleted. */
export interface MissingParts {
  readonly count: number;
  /** At most 20. */
  readonly parts: readonly PathProblem[];
}

/** What an origin reports about a snapshot that it has just taken. */
export interface TakenSnapshot {
  readonly snapshot: ObjectId;
  readonly timeMs: number;
  readonly files: number;
  readonly bytes: number;
  readonly stale: number;
  readonly missed: number;
  /** Nothing differs from the snapshot before. */
  readonly unchanged: boolean;
  /** At most 20. */
  readonly unread: readonly PathProblem[];
  /** Mount points that were not entered; of their paths at most 20. */
  readonly unentered: { readonly count: number; readonly paths: readonly Buffer[] };
  /** So much was lost or changed that this snapshot has put on the source's brake. */
  readonly braked: boolean;
  /** What was missing and was let go of. */
  readonly letGo: MissingParts;
}

export type BackupRefusal = 'failed' | 'unknown-source' | 'source-missing';
/** The word for a refusal that says what is missing has the place behind them. */
const REFUSALS: readonly BackupRefusal[] = ['failed', 'unknown-source', 'source-missing'];

export type BackupReply =
  | { readonly kind: 'taken'; readonly taken: TakenSnapshot }
  | { readonly kind: 'refused'; readonly because: BackupRefusal }
  /** Changes were to be accepted while something is missing. */
  | { readonly kind: 'something-missing'; readonly missing: MissingParts };

export interface BackupOrder {
  readonly source: SourceId;
  readonly acceptChanges: boolean;
  /** Only with `acceptChanges`. */
  readonly acceptMissing: boolean;
}

export async function serveBackup(
  net: Net,
  takeSnapshot: (order: BackupOrder, from: PeerName) => Promise<BackupReply>,
): Promise<void> {
  await net.handle(BACKUP_PROTOCOL, async (stream, from, signal) => {
    const wire = await readMessage(stream, Order, {
      what: 'backup order',
      bytesMax: ORDER_BYTES_MAX,
      signal,
      stallMs: REQUEST_STALL_MS,
    });
    const source = reading('backup order', () => parseSourceId(wire.source));
    const { acceptChanges, acceptMissing } = wire;
    const order = { source, acceptChanges, acceptMissing: acceptChanges && acceptMissing };
    const reply = await takeSnapshot(order, from);
    await writeMessage(stream, Reply, toReply(reply), { signal });
  });
}

/** @throws ClusterError PEER_UNREACHABLE, STREAM_BROKEN, STREAM_STALLED (passing), MALFORMED_MESSAGE (peer) */
export async function askBackup(
  net: Net,
  peer: PeerName,
  order: BackupOrder,
  options: AskOptions = {},
): Promise<BackupReply> {
  const question = {
    protocol: BACKUP_PROTOCOL,
    request: order,
    requestCodec: Order,
    replyCodec: LIMITED_REPLY,
    what: 'backup reply',
    bytesMax: REPLY_BYTES_MAX,
  };
  const replies = ask(net, peer, question, { ...options, stallMs: RUN_MS_MAX }, async function* read(answers) {
    const { value, done } = await answers.next();
    if (done === true) throw cutShort('backup reply');
    yield reading('backup reply', () => replyFrom(value));
  });
  for await (const reply of replies) return reply;
  throw cutShort('backup reply');
}

function toReply(reply: BackupReply): Reply {
  if (reply.kind === 'refused') return { refused: REFUSALS.indexOf(reply.because) };
  if (reply.kind === 'something-missing') return { refused: REFUSALS.length, missing: toMissing(reply.missing) };
  const { taken } = reply;
  const unread = taken.unread.slice(0, UNREAD_MAX).map(toProblem);
  const { count, paths } = taken.unentered;
  const unentered = { unentered: count, unenteredPaths: paths.slice(0, UNENTERED_MAX).map(toPath) };
  return {
    taken: { ...taken, snapshot: bytesOf(taken.snapshot), unread, ...unentered, letGo: toMissing(taken.letGo) },
  };
}

/** The path of something in a source may be longer than any call takes, and its beginning says where to look. */
const toPath = (path: Buffer): Buffer => path.subarray(0, PATH_BYTES_MAX);

const toProblem = ({ path, because }: PathProblem): PathProblem => ({
  path: toPath(path),
  because: because.slice(0, BECAUSE_CHARACTERS_MAX),
});

const toMissing = ({ count, parts }: MissingParts): Missing => ({
  count,
  parts: parts.slice(0, MISSING_MAX).map(toProblem),
});

function problemFrom({ path, because }: Unread): PathProblem {
  if (path.length > PATH_BYTES_MAX || because.length > BECAUSE_CHARACTERS_MAX) throw new RangeError('an unread path');
  return { path: Buffer.from(path), because };
}

/** An origin from before this field does not send it. */
const missingFrom = ({ count, parts }: Missing = { count: 0, parts: [] }): MissingParts => ({
  count: countFrom(count),
  parts: parts.map(problemFrom),
});

function replyFrom({ taken, refused, missing }: Reply): BackupReply {
  if (taken === undefined) {
    if (refused === undefined) throw malformed('backup reply: neither taken nor refused');
    if (refused === REFUSALS.length) return { kind: 'something-missing', missing: missingFrom(missing) };
    return { kind: 'refused', because: REFUSALS[refused] ?? 'failed' };
  }
  const unread = taken.unread.map(problemFrom);
  if (taken.unenteredPaths.some(path => path.length > PATH_BYTES_MAX))
    throw new RangeError('mount points that were not entered');
  return {
    kind: 'taken',
    taken: {
      snapshot: parseObjectId(hexOf(taken.snapshot)),
      timeMs: countFrom(taken.timeMs),
      files: countFrom(taken.files),
      bytes: countFrom(taken.bytes),
      stale: countFrom(taken.stale),
      missed: countFrom(taken.missed),
      unchanged: taken.unchanged,
      unread,
      unentered: {
        count: countFrom(taken.unentered),
        paths: taken.unenteredPaths.map(path => Buffer.from(path)),
      },
      braked: taken.braked,
      letGo: missingFrom(taken.letGo),
    },
  };
}

/** A refusal, in words for the person who asked. */
export function backupRefused(because: BackupRefusal, source: string, host: string): ClusterError {
  switch (because) {
    case 'unknown-source':
      return new ClusterError('SOURCE_UNKNOWN', `${host} has no source ${source}, or no longer has it`, {
        blame: 'operator',
      });
    case 'source-missing':
      return new ClusterError(
        'SOURCE_MISSING',
        `source ${source} was not backed up: its folder on ${host} is missing or empty; snapshots that it has are kept`,
        { blame: 'operator' },
      );
    case 'failed':
      return new ClusterError(
        'BACKUP_FAILED',
        `${host} could not take a snapshot of ${source}; its log says why; snapshots that it has are kept`,
        { blame: 'passing' },
      );
    default:
      return because satisfies never;
  }
}
