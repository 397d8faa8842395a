/**
 * Fetch protocol: blobs of one parcel, whole and plain, from its origin or a holder.
 *
 * The server says busy, or answers each blob with its size and bytes, or with gone. It may find out only in the middle
 * that a blob is gone (the origin serves the live file): then gone comes after some of its data, and the receiver throws
 * those bytes away. Nothing is hashed here: the receiver's store checks every blob, and only that check counts. See
 * protocols/fetch/fetch.md.
 */
import { Part, Want } from '../../protocols/fetch/fetch.js';
import { assert } from '../core/fault.js';
import { type BlobId, bytesOf, hexOf, type ParcelId, type PeerName, parseBlobId, parseParcelId } from '../core/ids.js';
import { type AskOptions, ask } from './ask.js';
import { countFrom, malformed, reading } from './malformed.js';
import { cutShort, MessageBatch, readMessage } from './message-stream.js';
import type { Net } from './net.js';

export const FETCH_PROTOCOL = '/scatterhoard/fetch/1';
/** Blobs of one ask: a record lists at most 512 entries. */
const BLOBS_PER_FETCH_MAX = 512;
/** Bytes of one data part: large enough that its header costs nothing, small enough that many streams share a line. */
const FETCH_DATA_BYTES_MAX = 256 * 1024;
const ENVELOPE_BYTES_MAX = 64;
/** 512 ids of 32 bytes and their tags. */
const WANT_BYTES_MAX = 32 * 1024;
/** Fetches of one peer that are served at once. */
const FETCH_STREAMS_MAX = 16;
const REQUEST_STALL_MS = 10_000;

/** Why somebody fetches: a server that must choose serves a restore before a repair before a grab. */
export type FetchPurpose = 'grab' | 'repair' | 'restore';
/** Their numbers on the wire. A number of a later version counts as the humblest. */
const PURPOSES: readonly FetchPurpose[] = ['grab', 'repair', 'restore'];

export interface FetchRequest {
  readonly parcel: ParcelId;
  /** Of that parcel; empty blobs are never asked for. 1 to 512. */
  readonly blobs: readonly BlobId[];
  readonly purpose: FetchPurpose;
}

export interface FetchBusy {
  readonly kind: 'busy';
  readonly retryAfterMs: number;
}

/** In order: `blob`, its `data` until `bytes` have come, then the next; or `gone`, for a blob not begun or in its middle. */
export type FetchPart =
  | FetchBusy
  | { readonly kind: 'blob'; readonly blob: BlobId; readonly bytes: number }
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'gone'; readonly blob: BlobId };

/** A blob to serve. Its `content` must give exactly `bytes`, or throw: `SourceGone` when what it reads from has changed. */
export type FetchedBlob =
  | {
      readonly blob: BlobId;
      readonly bytes: number;
      readonly content: AsyncIterable<Uint8Array>;
      readonly gone?: false;
    }
  | { readonly blob: BlobId; readonly gone: true };

export type FetchAnswer = FetchBusy | { readonly kind: 'blobs'; readonly parts: AsyncIterable<FetchedBlob> };

/** Each asked blob exactly once, in any order. */
export type FetchProvider = (request: FetchRequest, from: PeerName, signal: AbortSignal) => Promise<FetchAnswer>;

/** @param isGone tells the error of a `content` that says "the bytes under this id are no longer here" from all others, which reset the stream. */
export async function serveFetch(net: Net, provide: FetchProvider, isGone: (error: unknown) => boolean): Promise<void> {
  await net.handle(
    FETCH_PROTOCOL,
    async (stream, from, signal) => {
      const wire = await readMessage(stream, Want, {
        what: 'fetch request',
        bytesMax: WANT_BYTES_MAX,
        signal,
        stallMs: REQUEST_STALL_MS,
      });
      const request = reading('fetch request', () => requestFrom(wire));
      const batch = new MessageBatch<Part>(stream, Part, { signal });
      const say = (part: Part): Promise<void> => batch.write(part);

      const answer = await provide(request, from, signal);
      if (answer.kind === 'busy') {
        await say({ busy: { retryAfterMs: answer.retryAfterMs } });
        return batch.flush();
      }

      const open = new Set(request.blobs);
      for await (const part of answer.parts) {
        assert(open.delete(part.blob), `serves blob ${part.blob}, which was not asked for or is served already`);
        const blob = bytesOf(part.blob);
        if (part.gone === true) {
          await say({ gone: { blob } });
          continue;
        }
        await say({ blob: { blob, sizeBytes: part.bytes } });
        try {
          await sendContent(part, say);
        } catch (error) {
          if (!isGone(error)) throw error;
          await say({ gone: { blob } });
        }
      }
      await batch.flush();
      assert(open.size === 0, `${open.size} of ${request.blobs.length} asked blobs were not answered`);
    },
    { streamsMax: FETCH_STREAMS_MAX },
  );
}

async function sendContent(
  { blob, bytes, content }: FetchedBlob & { readonly gone?: false },
  say: (part: Part) => Promise<void>,
): Promise<void> {
  let leftBytes = bytes;
  for await (const chunk of content) {
    leftBytes -= chunk.length;
    assert(leftBytes >= 0, `blob ${blob} has more than its ${bytes} bytes`);
    for (let at = 0; at < chunk.length; at += FETCH_DATA_BYTES_MAX) {
      // The last byte is held back by nobody: a source that finds out at its end that it is gone says so after it.
      await say({ data: chunk.subarray(at, at + FETCH_DATA_BYTES_MAX) });
    }
  }
  assert(leftBytes === 0, `blob ${blob} lacks ${leftBytes} of its ${bytes} bytes`);
}

/**
 * What the peer answers, as it comes. Every asked blob is answered exactly once, unless the first part is `busy`.
 * @throws ClusterError PEER_UNREACHABLE, STREAM_BROKEN, STREAM_STALLED (passing), MALFORMED_MESSAGE (peer). Blobs that were
 *   complete before are good if they hash right.
 */
export function askFetch(
  net: Net,
  peer: PeerName,
  request: FetchRequest,
  options: AskOptions = {},
): AsyncGenerator<FetchPart, void, undefined> {
  const asked = new Set(request.blobs);
  assert(asked.size > 0 && asked.size <= BLOBS_PER_FETCH_MAX, `asked for ${asked.size} blobs at once`);
  const question = {
    protocol: FETCH_PROTOCOL,
    request: {
      parcel: bytesOf(request.parcel),
      blobs: [...asked].map(bytesOf),
      purpose: PURPOSES.indexOf(request.purpose),
    },
    requestCodec: Want,
    replyCodec: Part,
    what: 'fetch answer',
    bytesMax: FETCH_DATA_BYTES_MAX + ENVELOPE_BYTES_MAX,
  };
  return ask(net, peer, question, options, parts => readParts(parts, asked));
}

async function* readParts(
  parts: AsyncGenerator<Part, void, undefined>,
  asked: ReadonlySet<BlobId>,
): AsyncGenerator<FetchPart, void, undefined> {
  const open = new Set(asked);
  let current: BlobId | undefined;
  let leftBytes = 0;
  let first = true;
  for await (const wire of parts) {
    if (wire.busy !== undefined) {
      if (!first) throw malformed('fetch answer: busy after it began');
      const { retryAfterMs } = wire.busy;
      yield { kind: 'busy', retryAfterMs: reading('fetch answer', () => countFrom(retryAfterMs)) };
      return;
    }
    first = false;

    if (wire.data !== undefined) {
      if (current === undefined || wire.data.length > leftBytes)
        throw malformed('fetch answer: data beyond a blob’s size');
      leftBytes -= wire.data.length;
      yield { kind: 'data', data: wire.data };
    } else if (wire.gone !== undefined) {
      const blob = blobFrom(wire.gone.blob);
      // Also right after its last byte: the server checks the file once more when it has read it.
      if (blob !== current && !(leftBytes === 0 && open.delete(blob)))
        throw malformed('fetch answer: gone out of turn');
      current = undefined;
      leftBytes = 0;
      yield { kind: 'gone', blob };
    } else if (wire.blob !== undefined) {
      const blob = blobFrom(wire.blob.blob);
      if (leftBytes > 0 || !open.delete(blob)) throw malformed('fetch answer: a blob out of turn, or not asked for');
      const { sizeBytes } = wire.blob;
      leftBytes = reading('fetch answer', () => countFrom(sizeBytes));
      current = blob;
      yield { kind: 'blob', blob, bytes: leftBytes };
    } else {
      throw malformed('fetch answer: a part of no known kind');
    }
  }
  if (open.size > 0 || leftBytes > 0) throw cutShort('fetch answer');
}

const blobFrom = (bytes: Uint8Array): BlobId => reading('fetch answer', () => parseBlobId(hexOf(bytes)));

function requestFrom({ parcel, blobs, purpose }: Want): FetchRequest {
  if (blobs.length === 0 || blobs.length > BLOBS_PER_FETCH_MAX) throw new RangeError(`${blobs.length} blobs`);
  const ids = blobs.map(blob => parseBlobId(hexOf(blob)));
  if (new Set(ids).size !== ids.length) throw new RangeError('a blob is asked for twice');
  return { parcel: parseParcelId(hexOf(parcel)), blobs: ids, purpose: PURPOSES[purpose] ?? 'grab' };
}
