/**
 * Drop protocol: "I am about to drop my copy of this parcel: do you hold yours?", asked of every holder, and their grants.
 *
 * A grant says that its holder read every byte of the parcel from its disk in answer to this one question, and was not
 * dropping it itself. The signature covers everything that the grant says and for whom. It is checked here against the
 * key of the peer that was asked, so that no part further in ever sees a grant of unknown origin. The asker, which has
 * the same bytes, judges whether what was read is right.
 *
 * A read takes as long as its parcel is large, and nothing is sent meanwhile: only the asker's signal limits how long
 * an answer is waited for. See protocols/drop/drop.md.
 */
import { Answer, Asks } from '../../protocols/drop/drop.js';
import { assert, ClusterError } from '../core/fault.js';
import type { DenyReason, GrantAnswer, GrantAsk } from '../core/grant.js';
import {
  bytesOf,
  type HostId,
  hexOf,
  type Nonce,
  type ParcelId,
  type PeerName,
  parseNonce,
  parseParcelId,
  parsePossession,
} from '../core/ids.js';
import { type Signer, signable } from '../core/signed.js';
import { verify } from '../platform/ed25519.js';
import { ask } from './ask.js';
import { hashFrom } from './log-border.js';
import { countFrom, malformed, reading } from './malformed.js';
import { cutShort, REQUEST_STALL_MS, readMessage, writeMessage } from './message-stream.js';
import type { Net } from './net.js';
import { limited } from './wire-codec.js';

export const DROP_PROTOCOL = '/scatterhoard/drop/1';
/** Asks in one message: as many as a host reads for at once (GRANT_READS_MAX), so that none of them need be refused. */
export const ASKS_PER_MESSAGE_MAX = 64;
/** Messages of one peer that are served at once. */
const DROP_STREAMS_MAX = 8;
/** 64 asks of some 100 bytes. */
const ASK_BYTES_MAX = 8 * 1024;
/** Ids, a possession, a signature and their tags. */
const ANSWER_BYTES_MAX = 512;

const LIMITED_ASKS = limited(Asks, { asks: ASKS_PER_MESSAGE_MAX });

/**
 * In ms. Reading a parcel of 10 TB takes a day. The asker's signal ends sooner; this only keeps a forgotten one from
 * waiting for ever.
 */
const ANSWER_STALL_MS = 7 * 24 * 3_600_000;

/** By their numbers on the wire. A number from a later version counts as the first: ask again. */
const DENY_REASONS: readonly DenyReason[] = [
  'busy',
  'absent',
  'dropping',
  'corrupt',
  'unwanted',
  'draining',
  'config-newer',
  'config-older',
  'config-differs',
];

/** Within one message every nonce differs. */
export interface ParcelAsk extends GrantAsk {
  readonly parcel: ParcelId;
}

/** An answer as it is sent: `signGrant` has signed each grant. */
export type GivenAnswer = { readonly nonce: Nonce; readonly parcel: ParcelId } & (
  | {
      readonly answer: Extract<GrantAnswer, { answer: 'grant' }>;
      readonly boot: number;
      readonly signature: Uint8Array;
    }
  | { readonly answer: Extract<GrantAnswer, { answer: 'deny' }> }
);

export interface TakenAnswer {
  readonly nonce: Nonce;
  readonly parcel: ParcelId;
  readonly answer: GrantAnswer;
}

/** Everything that a grant says, and to whom. */
export interface GrantWords {
  readonly nonce: Nonce;
  readonly parcel: ParcelId;
  readonly holder: HostId;
  readonly dropper: HostId;
  /** The holder's boot counter. */
  readonly boot: number;
  readonly answer: Extract<GrantAnswer, { answer: 'grant' }>;
}

/** What a holder signs. */
function grantMessage({ nonce, parcel, holder, dropper, boot, answer }: GrantWords): Uint8Array {
  const { possession, configVersion } = answer;
  return signable('scatterhoard/grant/1', [nonce, parcel, holder, dropper, boot, possession, configVersion]);
}

export const signGrant = (signer: Signer, words: GrantWords): Uint8Array => signer.sign(grantMessage(words));

/** Yields exactly one answer for each ask, in any order, as soon as it is ready. */
export type GrantProvider = (
  asks: readonly ParcelAsk[],
  from: PeerName,
  signal: AbortSignal,
) => AsyncIterable<GivenAnswer>;

export async function serveGrants(net: Net, provide: GrantProvider): Promise<void> {
  await net.handle(
    DROP_PROTOCOL,
    async (stream, from, signal) => {
      const wire = await readMessage(stream, LIMITED_ASKS, {
        what: 'grant request',
        bytesMax: ASK_BYTES_MAX,
        signal,
        stallMs: REQUEST_STALL_MS,
      });
      const asks = reading('grant request', () => asksFrom(wire));
      const open = new Set(asks.map(({ nonce }) => nonce));
      for await (const given of provide(asks, from, signal)) {
        assert(
          open.delete(given.nonce),
          `answers attempt ${given.nonce}, which was not asked for or is already answered`,
        );
        await writeMessage(stream, Answer, toAnswer(given), { signal });
      }
      assert(open.size === 0, `${open.size} of ${asks.length} asks were not answered`);
    },
    { streamsMax: DROP_STREAMS_MAX },
  );
}

export interface GrantAskOptions {
  /** The host that is asked, and the raw key with which it signs. */
  readonly holder: HostId;
  readonly holderKey: Uint8Array;
  /** The host that asks: this host. */
  readonly dropper: HostId;
  /** Ends the waiting: fires when an answer is of no more use. */
  readonly signal: AbortSignal;
}

/**
 * One answer to each ask, as they come; at most 64. Answers that came before a throw are valid.
 * @throws ClusterError BAD_GRANT_SIGNATURE, MALFORMED_MESSAGE (peer); PEER_UNREACHABLE, STREAM_BROKEN (passing); the
 *   signal's reason.
 */
export function askGrants(
  net: Net,
  peer: PeerName,
  asks: readonly ParcelAsk[],
  options: GrantAskOptions,
): AsyncGenerator<TakenAnswer, void, undefined> {
  const open = new Map(asks.map(({ nonce, parcel }) => [nonce, parcel]));
  assert(open.size === asks.length, 'each attempt has a nonce of its own');
  assert(open.size > 0 && open.size <= ASKS_PER_MESSAGE_MAX, `asked for ${open.size} grants at once`);
  const question = {
    protocol: DROP_PROTOCOL,
    request: {
      asks: asks.map(({ nonce, parcel, config }) => ({
        nonce: bytesOf(nonce),
        parcel: bytesOf(parcel),
        configVersion: config.version,
        configHash: bytesOf(config.hash),
      })),
    },
    requestCodec: Asks,
    replyCodec: Answer,
    what: 'grant answer',
    bytesMax: ANSWER_BYTES_MAX,
  };
  const { signal } = options;
  return ask(net, peer, question, { signal, stallMs: ANSWER_STALL_MS }, answers => readAnswers(answers, open, options));
}

async function* readAnswers(
  answers: AsyncGenerator<Answer, void, undefined>,
  open: Map<Nonce, ParcelId>,
  { holder, holderKey, dropper }: GrantAskOptions,
): AsyncGenerator<TakenAnswer, void, undefined> {
  // Reads to the end of the stream, not to the last open question: a second answer to one question must not go unseen.
  for await (const wire of answers) {
    const given = reading('grant answer', () => answerFrom(wire));
    const { nonce, parcel, answer } = given;
    if (open.get(nonce) !== parcel) throw malformed('grant answer: to what was not asked, or is answered already');
    open.delete(nonce);
    if ('signature' in given) {
      const message = grantMessage({ nonce, parcel, holder, dropper, boot: given.boot, answer: given.answer });
      if (!verify(holderKey, message, given.signature)) {
        throw new ClusterError(
          'BAD_GRANT_SIGNATURE',
          `the grant that came from host ${holder} for parcel ${parcel} is not signed by it; it was not counted`,
          { blame: 'peer' },
        );
      }
    }
    yield { nonce, parcel, answer };
  }
  if (open.size > 0) throw cutShort('grant answer');
}

function asksFrom({ asks }: Asks): readonly ParcelAsk[] {
  if (asks.length === 0) throw new RangeError('no asks');
  const nonces = new Set<Nonce>();
  return asks.map(({ nonce: nonceBytes, parcel, configVersion, configHash }) => {
    const nonce = parseNonce(hexOf(nonceBytes));
    if (nonces.has(nonce)) throw new RangeError('one nonce for two asks');
    nonces.add(nonce);
    // A build that does not know this field sends none. No configuration has that hash, so the ask is denied, but it is
    // no offence.
    const hash = configHash.length === 0 ? '' : hashFrom(configHash);
    const config = { version: countFrom(configVersion), hash };
    return { nonce, parcel: parseParcelId(hexOf(parcel)), config };
  });
}

function toAnswer(given: GivenAnswer): Answer {
  const named = { nonce: bytesOf(given.nonce), parcel: bytesOf(given.parcel) };
  const { configVersion } = given.answer;
  if ('signature' in given) {
    const { answer, boot, signature } = given;
    return { ...named, grant: { possession: bytesOf(answer.possession), configVersion, boot, signature } };
  }
  return { ...named, deny: { because: DENY_REASONS.indexOf(given.answer.because), configVersion } };
}

function answerFrom({ nonce, parcel, grant, deny }: Answer): GivenAnswer {
  const named = { nonce: parseNonce(hexOf(nonce)), parcel: parseParcelId(hexOf(parcel)) };
  if (grant !== undefined) {
    const possession = parsePossession(hexOf(grant.possession));
    const configVersion = countFrom(grant.configVersion);
    const { signature } = grant;
    return {
      ...named,
      answer: { answer: 'grant', possession, configVersion },
      boot: countFrom(grant.boot),
      signature,
    };
  }
  if (deny === undefined) throw new RangeError('neither grant nor deny');
  const because = DENY_REASONS[deny.because] ?? 'busy';
  return { ...named, answer: { answer: 'deny', because, configVersion: countFrom(deny.configVersion) } };
}
