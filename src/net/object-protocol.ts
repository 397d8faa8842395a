/**
 * Object protocol: catalog objects (snapshots, pages, records) by their hashes, from any host that has them.
 *
 * Every object is checked against its id as it arrives, so it does not matter who answers. "Missing" means that this
 * peer does not have it now, and nothing else. See protocols/object/object.md.
 */
import { Answer, Want } from '../../protocols/object/object.js';
import { assert, ClusterError } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import { bytesOf, hexOf, type ObjectId, type PeerName, parseObjectId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { readAhead } from '../platform/read-ahead.js';
import { type AskOptions, ask } from './ask.js';
import { malformed, reading } from './malformed.js';
import { cutShort, MessageBatch, REQUEST_STALL_MS, readMessage } from './message-stream.js';
import type { Net } from './net.js';
import { limited } from './wire-codec.js';

export const OBJECT_PROTOCOL = '/scatterhoard/object/1';
/** An object's bytes. A record is at most 256 KiB, a page 128 references; only a snapshot's list of pages may grow. */
export const OBJECT_BYTES_MAX = 1 << 20;
/** Ids in one ask. */
export const OBJECTS_PER_ASK_MAX = 256;
/** Asks of one peer that are served at once. */
const OBJECT_STREAMS_MAX = 8;
/** Objects that are read while earlier ones are sent: most have a few kB. */
const READ_AHEAD = 8;
/** An answer's field names and its id. */
const ENVELOPE_BYTES_MAX = 64;
/** 256 ids of 32 bytes and their tags. */
const WANT_BYTES_MAX = 16 * 1024;

const LIMITED_WANT = limited(Want, { ids: OBJECTS_PER_ASK_MAX });

export type ObjectAnswer =
  | { readonly id: ObjectId; readonly bytes: Uint8Array; readonly missing?: false }
  | { readonly id: ObjectId; readonly missing: true };

/**
 * Answers from what `readerFor` lets a peer read. An object above 1 MiB is answered as missing, and nobody logs that:
 * no such object can be made.
 */
export async function serveObjects(net: Net, readerFor: (peer: PeerName) => ObjectReader): Promise<void> {
  await net.handle(
    OBJECT_PROTOCOL,
    async (stream, from, signal) => {
      const reader = readerFor(from);
      const want = await readMessage(stream, LIMITED_WANT, {
        what: 'object request',
        bytesMax: WANT_BYTES_MAX,
        signal,
        stallMs: REQUEST_STALL_MS,
      });
      const ids = reading('object request', () => {
        if (want.ids.length === 0) throw new RangeError('no ids');
        return want.ids.map(id => parseObjectId(hexOf(id)));
      });
      const batch = new MessageBatch<Answer>(stream, Answer, { signal });
      for await (const { id, found } of readAhead(ids, async id => ({ id, found: await reader.get(id) }), READ_AHEAD)) {
        const answer: Answer =
          found === undefined || found.length > OBJECT_BYTES_MAX
            ? { id: bytesOf(id), missing: {} }
            : { id: bytesOf(id), found };
        await batch.write(answer);
      }
      await batch.flush();
    },
    { streamsMax: OBJECT_STREAMS_MAX },
  );
}

/**
 * One answer for each id, in the order of the ids; at most 256.
 * @throws ClusterError OBJECT_MISMATCH (peer) when bytes do not hash to their id; what came before is valid.
 * @throws ClusterError PEER_UNREACHABLE, STREAM_BROKEN, STREAM_STALLED (passing), MALFORMED_MESSAGE (peer)
 */
export function askObjects(
  net: Net,
  peer: PeerName,
  ids: readonly ObjectId[],
  options: AskOptions = {},
): AsyncGenerator<ObjectAnswer, void, undefined> {
  assert(ids.length > 0 && ids.length <= OBJECTS_PER_ASK_MAX, `asked for ${ids.length} objects at once`);
  const question = {
    protocol: OBJECT_PROTOCOL,
    request: { ids: ids.map(bytesOf) },
    requestCodec: Want,
    replyCodec: Answer,
    what: 'object answer',
    bytesMax: OBJECT_BYTES_MAX + ENVELOPE_BYTES_MAX,
  };
  return ask(net, peer, question, options, async function* read(answers) {
    for (const id of ids) {
      const { value: answer, done } = await answers.next();
      if (done === true) throw cutShort('object answer');
      if (hexOf(answer.id) !== id) throw malformed('object answer: another id than the next one that was asked for');
      if (answer.found === undefined) {
        if (answer.missing === undefined) throw malformed('object answer: neither found nor missing');
        yield { id, missing: true };
        continue;
      }
      if (hashHex(answer.found) !== id) {
        throw new ClusterError('OBJECT_MISMATCH', `a peer sent bytes that are not object ${id}; they were not used`, {
          blame: 'peer',
        });
      }
      yield { id, bytes: answer.found };
    }
  });
}
