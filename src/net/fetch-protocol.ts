/**
 * Fetch protocol: blobs of one parcel, whole and plain, from its origin or a holder; or ranges of one blob, or its recipe
 * (fetch-recipe.ts).
 *
 * A stream carries one question after the other, each answered in its turn: busy; or for each blob its size and bytes
 * (for several small ones together), or gone; then an end mark. The server may find out only in the middle that a blob
 * is gone (the origin serves the live file): then gone comes after some of its data, and the receiver throws those
 * bytes away. Nothing is hashed here: the receiver's store checks every blob, and only that check counts. See
 * protocols/fetch/fetch.md.
 */
import { type Busy, type Pack, Part, Want } from '../../protocols/fetch/fetch.js';
import { type ByteRange, sumOf } from '../core/byte-range.js';
import { assert } from '../core/fault.js';
import { type BlobId, bytesOf, hexOf, type ParcelId, type PeerName, parseBlobId, parseParcelId } from '../core/ids.js';
import { COMPARED_BYTES_MAX } from '../core/recipe.js';
import { orAborted } from '../platform/or-aborted.js';
import type { Urgency } from '../platform/urgent-first.js';
import { type AskOptions, ask } from './ask.js';
import { FETCH_STREAMS_MAX, FetchPlaces } from './fetch-places.js';
import { FloorRate } from './floor-rate.js';
import { countFrom, malformed, reading } from './malformed.js';
import { cutShort, MessageBatch, readMessages } from './message-stream.js';
import type { Net } from './net.js';
import type { PacedLine } from './pace.js';
import { limited } from './wire-codec.js';
import { RANGES_PER_FETCH_MAX, rangesFrom, toWireRanges } from './wire-ranges.js';

export const FETCH_PROTOCOL = '/scatterhoard/fetch/1';
/** Blobs in one ask: a record lists at most 512 entries. */
const BLOBS_PER_FETCH_MAX = 512;
/** Bytes of one data part: large enough that its header costs nothing, small enough that many streams share a line. */
const FETCH_DATA_BYTES_MAX = 256 * 1024;
/** Bytes of the small blobs of one pack. */
export const PACK_BYTES_MAX = FETCH_DATA_BYTES_MAX;
const BLOB_ID_BYTES = 32;
/** Ids and sizes of a pack: 512 of 32 and 3 bytes. */
const PACK_HEADS_BYTES_MAX = 20 * 1024;
/** A part of an answer: data, its length and its tags. */
export const FETCH_PART_BYTES_MAX = FETCH_DATA_BYTES_MAX + PACK_HEADS_BYTES_MAX;
/** 4096 ranges of 16 bytes and their tags; 512 ids of 32 bytes are less. */
const WANT_BYTES_MAX = 80 * 1024;
/** Time between two questions of one stream, in ms: a caller with nothing to ask closes it after two seconds. */
const NEXT_WANT_STALL_MS = 10_000;

const LIMITED_WANT = limited(Want, { blobs: BLOBS_PER_FETCH_MAX, ranges: RANGES_PER_FETCH_MAX });
export const LIMITED_PART = limited(Part, { pack: { sizesBytes: BLOBS_PER_FETCH_MAX } });

/** When a peer that is told `busy` may ask again, in ms. */
export const BUSY_RETRY_MS = 2_000;
/** No peer is believed to be busy for longer than this, in ms. */
const BUSY_MS_MAX = 60_000;

/** Why a peer fetches: a server that must choose serves a restore before a repair before a grab. */
export type FetchPurpose = 'grab' | 'repair' | 'restore';
/** By their numbers on the wire. A number from a later version counts as the humblest purpose. */
const PURPOSES: readonly FetchPurpose[] = ['grab', 'repair', 'restore'];

export interface FetchRequest {
  readonly parcel: ParcelId;
  /** Blobs of that parcel; empty blobs are never asked for. 1 to 512. */
  readonly blobs: readonly BlobId[];
  readonly purpose: FetchPurpose;
  /** For a single blob, only these bytes: ascending, not overlapping, at most 4096 ranges. Default: all. */
  readonly ranges?: readonly ByteRange[];
  /** For a single blob its recipe instead of its bytes; with ranges, at most 64 MiB in all, the pieces of these. */
  readonly recipe?: true;
  /** True when what the peer gave of the parcel last time hashed to another name. Default: false. */
  readonly doubted?: boolean;
}

export interface FetchBusy {
  readonly kind: 'busy';
  /** A minute at the most. */
  readonly retryAfterMs: number;
}

/** A small blob, whole. */
export interface PackedBlob {
  readonly blob: BlobId;
  readonly content: Uint8Array;
}

/**
 * In order: `blob`, its `data` until `bytes` have come, then the next; or `pack` for several small blobs at once; or
 * `gone`, before a blob or in its middle.
 */
export type FetchPart =
  | FetchBusy
  | { readonly kind: 'blob'; readonly blob: BlobId; readonly bytes: number }
  | { readonly kind: 'data'; readonly data: Uint8Array }
  | { readonly kind: 'pack'; readonly blobs: readonly PackedBlob[] }
  | { readonly kind: 'gone'; readonly blob: BlobId };

/**
 * What is served: one blob, several small ones, or what is asked of one. `content` must give exactly `bytes`, or throw:
 * `SourceGone` when what it reads from has changed.
 */
export type FetchedBlob =
  | {
      readonly blob: BlobId;
      readonly bytes: number;
      readonly content: AsyncIterable<Uint8Array>;
      readonly gone?: false;
    }
  | { readonly blob: BlobId; readonly gone: true }
  /** At most `PACK_BYTES_MAX` bytes in all, and 512 blobs. */
  | { readonly pack: readonly PackedBlob[] };

interface Ending {
  /** Fires when the answer must not go on: the stream is reset, whether or not its peer takes what was sent. */
  readonly ended?: AbortSignal;
}

export type FetchAnswer =
  | FetchBusy
  | ({ readonly kind: 'blobs'; readonly parts: AsyncIterable<FetchedBlob> } & Ending)
  /** Packed pages (core/recipe.ts), sent as they come; only to a peer that asked for a recipe. */
  | ({ readonly kind: 'recipe'; readonly pages: AsyncIterable<Uint8Array> } & Ending);

export interface Providing extends Required<Urgency> {
  readonly signal: AbortSignal;
}

/** Answers each blob that is asked for exactly once, in any order. */
export type FetchProvider = (request: FetchRequest, from: PeerName, how: Providing) => Promise<FetchAnswer>;

const BUSY: FetchBusy = { kind: 'busy', retryAfterMs: BUSY_RETRY_MS };

/**
 * @param isGone distinguishes the error of a `content` that says "the bytes under this id are no longer here" from all
 * others, which reset the stream.
 */
export async function serveFetch(net: Net, provide: FetchProvider, isGone: (error: unknown) => boolean): Promise<void> {
  const places = new FetchPlaces();
  await net.handle(
    FETCH_PROTOCOL,
    async (stream, from, signal) => {
      const wants = readMessages(stream, LIMITED_WANT, {
        what: 'fetch request',
        bytesMax: WANT_BYTES_MAX,
        signal,
        stallMs: NEXT_WANT_STALL_MS,
      });
      for await (const wire of wants) {
        const request = reading('fetch request', () => requestFrom(wire));
        const place = places.take(from, { isUrgent: isForPerson(request) });
        try {
          const isUrgent = place?.isUrgent === true;
          const batch = new MessageBatch<Part>(stream, Part, { signal, isUrgent });
          const paced = pacedBy(net.paces.upload, { peer: from, isUrgent, signal });
          const answer = place === undefined ? BUSY : await provide(request, from, { signal, isUrgent });
          const sent = sendAnswer(answer, { request, batch, isGone, paced });
          await ('ended' in answer ? orAborted(sent, answer.ended) : sent);
          await batch.write({ end: {} });
          await batch.flush();
        } finally {
          place?.leave();
        }
      }
    },
    { streamsMax: FETCH_STREAMS_MAX },
  );
}

async function sendAnswer(
  answer: FetchAnswer,
  {
    request,
    batch,
    isGone,
    paced,
  }: {
    readonly request: FetchRequest;
    readonly batch: MessageBatch<Part>;
    readonly isGone: (error: unknown) => boolean;
    readonly paced: Paced;
  },
): Promise<void> {
  const say = async (part: Part): Promise<void> => {
    await paced(part.data?.length ?? part.pack?.data.length ?? 0);
    await batch.write(part);
  };
  if (answer.kind === 'busy') return say({ busy: { retryAfterMs: answer.retryAfterMs } });
  assert(
    (answer.kind === 'recipe') === (request.recipe === true),
    'a recipe answers a request for a recipe, and nothing else does',
  );
  if (answer.kind === 'recipe')
    return sendRecipe(answer.pages, { blob: request.blobs[0] as BlobId, batch, isGone, paced });
  const open = new Set(request.blobs);
  const answered = (blob: BlobId): void =>
    assert(open.delete(blob), `serves blob ${blob}, which was not asked for or is already served`);
  for await (const part of answer.parts) {
    if ('pack' in part) {
      for (const { blob } of part.pack) answered(blob);
      await say({ pack: toPack(part.pack) });
      continue;
    }
    answered(part.blob);
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
  assert(open.size === 0, `${open.size} of ${request.blobs.length} asked blobs were not answered`);
}

function toPack(pack: readonly PackedBlob[]): Pack {
  const data = Buffer.concat(pack.map(({ content }) => content));
  assert(data.length <= PACK_BYTES_MAX && pack.length <= BLOBS_PER_FETCH_MAX, `a pack of ${data.length} bytes`);
  return {
    blobs: Buffer.concat(pack.map(({ blob }) => bytesOf(blob))),
    sizesBytes: pack.map(({ content }) => content.length),
    data,
  };
}

/** Sends each page at once, because the receiver begins with it. */
async function sendRecipe(
  pages: AsyncIterable<Uint8Array>,
  {
    blob,
    batch,
    isGone,
    paced,
  }: {
    readonly blob: BlobId;
    readonly batch: MessageBatch<Part>;
    readonly isGone: (error: unknown) => boolean;
    readonly paced: Paced;
  },
): Promise<void> {
  try {
    for await (const chunks of pages) {
      await paced(chunks.length);
      await batch.write({ recipe: { chunks, last: false } });
      await batch.flush();
    }
    await batch.write({ recipe: { chunks: new Uint8Array(), last: true } });
  } catch (error) {
    if (!isGone(error)) throw error;
    await batch.write({ gone: { blob: bytesOf(blob) } });
  }
}

async function sendContent(
  { blob, bytes, content }: Extract<FetchedBlob, { readonly gone?: false }>,
  say: (part: Part) => Promise<void>,
): Promise<void> {
  let leftBytes = bytes;
  for await (const chunk of content) {
    leftBytes -= chunk.length;
    assert(leftBytes >= 0, `blob ${blob} has more than its ${bytes} bytes`);
    for (let at = 0; at < chunk.length; at += FETCH_DATA_BYTES_MAX) {
      // Nothing holds the last byte back: a source that finds out at its end that it is gone says so after it.
      await say({ data: chunk.subarray(at, at + FETCH_DATA_BYTES_MAX) });
    }
  }
  assert(leftBytes === 0, `blob ${blob} lacks ${leftBytes} of its ${bytes} bytes`);
}

/**
 * What the peer answers, as it comes. Every blob that was asked for is answered exactly once, unless the first part is
 * `busy`.
 * @throws ClusterError PEER_UNREACHABLE, STREAM_BROKEN, STREAM_STALLED (passing), MALFORMED_MESSAGE (peer). Blobs that
 *   were complete before are good if they hash right.
 */
export function askFetch(
  net: Net,
  peer: PeerName,
  request: FetchRequest,
  options: AskOptions = {},
): AsyncGenerator<FetchPart, void, undefined> {
  const question = {
    protocol: FETCH_PROTOCOL,
    request: toWant(request),
    requestCodec: Want,
    replyCodec: LIMITED_PART,
    what: 'fetch answer',
    bytesMax: FETCH_PART_BYTES_MAX,
  };
  const paced = pacedBy(net.paces.download, { peer, isUrgent: isForPerson(request), signal: options.signal });
  return ask(net, peer, question, options, parts =>
    readAnswer(parts, request, { paced, floor: new FloorRate(options) }),
  );
}

export function toWant({ parcel, blobs, purpose, ranges = [], recipe, doubted = false }: FetchRequest): Want {
  const asked = new Set(blobs);
  const wireRanges = toWireRanges(ranges);
  assert(asked.size > 0 && asked.size <= BLOBS_PER_FETCH_MAX, `asked for ${asked.size} blobs at once`);
  assert(
    ranges.length === 0 || (wireRanges.length <= RANGES_PER_FETCH_MAX && asked.size === 1),
    `asked for ${wireRanges.length} ranges`,
  );
  return {
    parcel: bytesOf(parcel),
    blobs: [...asked].map(bytesOf),
    purpose: PURPOSES.indexOf(purpose),
    ranges: [...wireRanges],
    recipe: recipe === true,
    doubted,
  };
}

export const busyFrom = ({ retryAfterMs }: Busy): FetchBusy => ({
  kind: 'busy',
  retryAfterMs: Math.min(
    reading('fetch answer', () => countFrom(retryAfterMs)),
    BUSY_MS_MAX,
  ),
});

/** Waits until this many bytes may move; undefined when they may move at once. */
export type Paced = (bytes: number) => Promise<void> | undefined;

/** A person waits for a restore; nobody waits for any other fetch. */
export const isForPerson = ({ purpose }: Pick<FetchRequest, 'purpose'>): boolean => purpose === 'restore';

export function pacedBy(
  line: PacedLine,
  {
    peer,
    isUrgent,
    signal,
  }: { readonly peer: PeerName; readonly isUrgent: boolean; readonly signal?: AbortSignal | undefined },
): Paced {
  return bytes => (bytes === 0 ? undefined : line.take({ peer, bytes, isUrgent }, signal));
}

/** Reads the answer to one Want, up to its end mark and no further. */
export async function* readAnswer(
  parts: AsyncGenerator<Part, void, undefined>,
  { blobs }: FetchRequest,
  { paced, floor }: { readonly paced: Paced; readonly floor: FloorRate },
): AsyncGenerator<FetchPart, void, undefined> {
  const open = new Set(blobs);
  let current: BlobId | undefined;
  let leftBytes = 0;
  let first = true;
  let busy = false;
  // By hand, because leaving a `for await` would end the stream for the answers after this one.
  for (;;) {
    const { value: wire, done } = await floor.next(parts);
    if (done === true) throw cutShort('fetch answer');
    if (wire.end !== undefined) {
      if (!busy && (open.size > 0 || leftBytes > 0))
        throw malformed('fetch answer: it ended before everything was answered');
      return;
    }
    if (busy) throw malformed('fetch answer: something follows busy');
    if (wire.busy !== undefined) {
      if (!first) throw malformed('fetch answer: busy after the answer began');
      busy = true;
      yield busyFrom(wire.busy);
      continue;
    }
    first = false;

    if (wire.data !== undefined) {
      // An empty part is no sign of life: a peer that sends it again and again would keep its place for ever.
      if (wire.data.length === 0) throw malformed('fetch answer: data without a byte');
      if (current === undefined || wire.data.length > leftBytes || wire.data.length > FETCH_DATA_BYTES_MAX)
        throw malformed('fetch answer: data beyond a blob’s size, or too much at once');
      leftBytes -= wire.data.length;
      floor.moved(wire.data.length);
      await paced(wire.data.length);
      yield { kind: 'data', data: wire.data };
    } else if (wire.pack !== undefined) {
      if (leftBytes > 0) throw malformed('fetch answer: a pack in the middle of a blob');
      const blobs = packFrom(wire.pack);
      for (const { blob } of blobs) {
        if (!open.delete(blob)) throw malformed('fetch answer: a blob that was not asked for, or comes twice');
      }
      current = undefined;
      floor.moved(wire.pack.data.length);
      await paced(wire.pack.data.length);
      yield { kind: 'pack', blobs };
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
      throw malformed('fetch answer: a part of unknown kind');
    }
  }
}

function packFrom({ blobs, sizesBytes, data }: Pack): PackedBlob[] {
  if (data.length > PACK_BYTES_MAX) throw malformed(`fetch answer: a pack of ${data.length} bytes`);
  if (blobs.length !== sizesBytes.length * BLOB_ID_BYTES || sizesBytes.length === 0)
    throw malformed('fetch answer: a pack whose blobs and sizes differ');
  let at = 0;
  const packed = sizesBytes.map((bytes, n): PackedBlob => {
    const content = data.subarray(at, at + bytes);
    at += bytes;
    return { blob: blobFrom(blobs.subarray(n * BLOB_ID_BYTES, (n + 1) * BLOB_ID_BYTES)), content };
  });
  if (at !== data.length || sizesBytes.includes(0))
    throw malformed('fetch answer: a pack whose sizes and bytes differ');
  return packed;
}

const blobFrom = (bytes: Uint8Array): BlobId => reading('fetch answer', () => parseBlobId(hexOf(bytes)));

function requestFrom({ parcel, blobs, purpose, ranges, recipe, doubted }: Want): FetchRequest {
  if (blobs.length === 0) throw new RangeError('no blobs');
  const ids = blobs.map(blob => parseBlobId(hexOf(blob)));
  if (new Set(ids).size !== ids.length) throw new RangeError('a blob is asked for twice');
  if (recipe && sumOf(ranges) > COMPARED_BYTES_MAX) throw new RangeError(`pieces of ${sumOf(ranges)} bytes`);
  if ((recipe || ranges.length > 0) && ids.length > 1) throw new RangeError(`only a part of ${ids.length} blobs`);
  return {
    parcel: parseParcelId(hexOf(parcel)),
    blobs: ids,
    purpose: PURPOSES[purpose] ?? 'grab',
    ...(ranges.length === 0 ? {} : { ranges: rangesFrom(ranges) }),
    ...(recipe ? { recipe } : {}),
    ...(doubted ? { doubted } : {}),
  };
}
