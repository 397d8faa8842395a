/**
 * Audit protocol: another holder asks "your log says that you hold this parcel: show it". The answer is a possession
 * made for that one question, or a denial.
 *
 * An answer is not signed and is not a grant: the asker compares it with what its own copy gives, and keeps it to
 * itself. See protocols/audit/audit.md.
 */
import { Answer, Ask } from '../../protocols/audit/audit.js';
import type { AuditAnswer, AuditDenial } from '../core/audit.js';
import {
  bytesOf,
  hexOf,
  type Nonce,
  type ParcelId,
  type PeerName,
  parseNonce,
  parseParcelId,
  parsePossession,
} from '../core/ids.js';
import { ask } from './ask.js';
import { reading } from './malformed.js';
import { cutShort, REQUEST_STALL_MS, readMessage, writeMessage } from './message-stream.js';
import type { Net } from './net.js';

export const AUDIT_PROTOCOL = '/scatterhoard/audit/1';
/** Audits of one peer that are served at once: one that is under way, and perhaps one that it has given up. */
const AUDIT_STREAMS_MAX = 2;
/** Ids, a possession and their tags. */
const MESSAGE_BYTES_MAX = 128;
/**
 * In ms. Reading a parcel of 10 TB takes a day. The asker's signal ends sooner; this only keeps a forgotten one from
 * waiting for ever.
 */
const ANSWER_STALL_MS = 7 * 24 * 3_600_000;

/** By their numbers on the wire. A number from a later version counts as the first: ask again later. */
const DENIALS: readonly AuditDenial[] = ['busy', 'absent', 'corrupt'];

export interface AuditAsk {
  readonly nonce: Nonce;
  readonly parcel: ParcelId;
}

/** Called at most twice at the same time for one peer. */
export type AuditProvider = (ask: AuditAsk, from: PeerName, signal: AbortSignal) => Promise<AuditAnswer>;

export async function serveAudits(net: Net, provide: AuditProvider): Promise<void> {
  await net.handle(
    AUDIT_PROTOCOL,
    async (stream, from, signal) => {
      const wire = await readMessage(stream, Ask, {
        what: 'audit',
        bytesMax: MESSAGE_BYTES_MAX,
        signal,
        stallMs: REQUEST_STALL_MS,
      });
      const asked = reading('audit', () => ({
        nonce: parseNonce(hexOf(wire.nonce)),
        parcel: parseParcelId(hexOf(wire.parcel)),
      }));
      await writeMessage(stream, Answer, toAnswer(await provide(asked, from, signal)), { signal });
    },
    { streamsMax: AUDIT_STREAMS_MAX },
  );
}

/**
 * @param signal ends the waiting
 * @throws ClusterError MALFORMED_MESSAGE (peer); PEER_UNREACHABLE, STREAM_BROKEN (passing); the signal's reason.
 */
export async function askAudit(
  net: Net,
  peer: PeerName,
  { nonce, parcel }: AuditAsk,
  signal: AbortSignal,
): Promise<AuditAnswer> {
  const question = {
    protocol: AUDIT_PROTOCOL,
    request: { nonce: bytesOf(nonce), parcel: bytesOf(parcel) },
    requestCodec: Ask,
    replyCodec: Answer,
    what: 'answer to an audit',
    bytesMax: MESSAGE_BYTES_MAX,
  };
  const answers = ask(net, peer, question, { signal, stallMs: ANSWER_STALL_MS }, async function* read(wires) {
    const { value: wire, done } = await wires.next();
    if (done === true) throw cutShort('answer to an audit');
    yield reading('answer to an audit', () => answerFrom(wire));
  });
  for await (const answer of answers) return answer;
  throw cutShort('answer to an audit');
}

function toAnswer(answer: AuditAnswer): Answer {
  return answer.answer === 'proof'
    ? { proof: { possession: bytesOf(answer.possession) } }
    : { deny: { because: DENIALS.indexOf(answer.because) } };
}

function answerFrom({ proof, deny }: Answer): AuditAnswer {
  if (proof !== undefined) return { answer: 'proof', possession: parsePossession(hexOf(proof.possession)) };
  if (deny === undefined) throw new RangeError('neither proof nor denial');
  return { answer: 'deny', because: DENIALS[deny.because] ?? 'busy' };
}
