/**
 * Relocate protocol: "will you take these parcels, all or none?", asked by a host that must make room, and yes or no.
 *
 * An acceptance promises only an attempt: the giver sees the result in the taker's log, and drops by the drop protocol
 * alone. So nothing here is signed, and a lost answer costs at most one copy too many. See
 * protocols/relocate/relocate.md.
 */
import { Answer, Offer } from '../../protocols/relocate/relocate.js';
import { assert } from '../core/fault.js';
import { bytesOf, hexOf, type ParcelId, type PeerName, parseParcelId } from '../core/ids.js';
import { ask } from './ask.js';
import { malformed, reading } from './malformed.js';
import { cutShort, REQUEST_STALL_MS, readMessage, writeMessage } from './message-stream.js';
import type { Net } from './net.js';
import { limited } from './wire-codec.js';

export const RELOCATE_PROTOCOL = '/scatterhoard/relocate/1';
/** Parcels in one offer: those of one family that is moved (OFFERED_PARCELS_MAX of the core). */
export const PARCELS_PER_OFFER_MAX = 512;
/** Offers of one peer that are served at once: twice what it can have under way, for the ones that it has given up. */
const RELOCATE_STREAMS_MAX = 4;
/** 512 ids of 32 bytes and their tags. */
const OFFER_BYTES_MAX = 20 * 1024;
/** A number and its tags. */
const ANSWER_BYTES_MAX = 64;
/** The only reason so far to refuse an offer. */
const NOT_NOW = 0;

const LIMITED_OFFER = limited(Offer, { parcels: PARCELS_PER_OFFER_MAX });

/** @returns whether the parcels are taken, all of them. Called at most 4 times at the same time for one peer. */
export type OfferTaker = (parcels: readonly ParcelId[], from: PeerName, signal: AbortSignal) => Promise<boolean>;

export async function serveRelocations(net: Net, takes: OfferTaker): Promise<void> {
  await net.handle(
    RELOCATE_PROTOCOL,
    async (stream, from, signal) => {
      const wire = await readMessage(stream, LIMITED_OFFER, {
        what: 'offer',
        bytesMax: OFFER_BYTES_MAX,
        signal,
        stallMs: REQUEST_STALL_MS,
      });
      const parcels = reading('offer', () => parcelsFrom(wire));
      const accepted = await takes(parcels, from, signal);
      const answer: Answer = accepted ? { accept: {} } : { refuse: { because: NOT_NOW } };
      await writeMessage(stream, Answer, answer, { signal });
    },
    { streamsMax: RELOCATE_STREAMS_MAX },
  );
}

/**
 * Offers at most 512 parcels, each once. @returns whether the peer has begun to take them.
 * @param signal ends the waiting; whether the peer takes them is then not known
 * @throws ClusterError MALFORMED_MESSAGE (peer); PEER_UNREACHABLE, STREAM_BROKEN, STREAM_STALLED (passing); the signal's
 *   reason.
 */
export async function offerRelocation(
  net: Net,
  peer: PeerName,
  parcels: readonly ParcelId[],
  signal: AbortSignal,
): Promise<boolean> {
  assert(parcels.length > 0 && parcels.length <= PARCELS_PER_OFFER_MAX, `offered ${parcels.length} parcels at once`);
  const question = {
    protocol: RELOCATE_PROTOCOL,
    request: { parcels: parcels.map(bytesOf) },
    requestCodec: Offer,
    replyCodec: Answer,
    what: 'answer to an offer',
    bytesMax: ANSWER_BYTES_MAX,
  };
  const answers = ask(net, peer, question, { signal }, async function* read(wires) {
    const { value: wire, done } = await wires.next();
    if (done === true) throw cutShort('answer to an offer');
    yield isAccepted(wire);
  });
  let accepted = false;
  for await (const answer of answers) accepted = answer;
  return accepted;
}

function parcelsFrom({ parcels }: Offer): readonly ParcelId[] {
  if (parcels.length === 0) throw new RangeError('no parcels');
  const ids = parcels.map(bytes => parseParcelId(hexOf(bytes)));
  if (new Set(ids).size !== ids.length) throw new RangeError('one parcel twice');
  return ids;
}

function isAccepted({ accept, refuse }: Answer): boolean {
  if (accept === undefined && refuse === undefined) throw malformed('answer to an offer: neither accept nor refuse');
  return accept !== undefined;
}
