/**
 * The `join` protocol: a stranger proves an invite and becomes a provisional member. It is the only protocol that is
 * open to strangers, and only while an invite is open.
 *
 * The stranger shows the invite; the member answers with a fresh nonce; the stranger signs, with the one-time key, who
 * it is, before whom, and that nonce. Noise has already proved both peer ids, so neither a copied proof nor one relayed
 * by a third host is of any use. Wire: protocols/join/join.md. The other side: join-cluster.ts.
 */
import { randomBytes } from 'node:crypto';
import { Ask as AskMessage, Refusal, Reply as ReplyMessage } from '../../protocols/join/join.js';
import { hexOf, NAME_PATTERN, parseHostId } from '../core/ids.js';
import type { Net } from '../net/net.js';
import { NONCE_BYTES } from './admission.js';
import { ANSWER_BYTES_MAX, VERSIONS_PER_ANSWER_MAX } from './config-protocol.js';
import { MEMBER_ADDRESSES_MAX, versionFor } from './configuration.js';
import type { JoinRefusal } from './decide-admission.js';
import { badFrame, framed, within } from './framed-stream.js';
import { INVITE_BYTES_MAX } from './invite.js';
import type { Membership } from './membership.js';
import { ID_BYTES, SIGNATURE_BYTES } from './peer-key.js';
import { isAddress } from './policy-schema.js';

export const JOIN_PROTOCOL = '/scatterhoard/join/1';
/** A knock or a proof: an invite, or some addresses. */
const ASK_BYTES_MAX = 8 * 1024;
/** A whole join, including the chain; a long chain over a slow link takes time. */
export const JOIN_MS_MAX = 5 * 60_000;
/** How long a stranger may take to answer the challenge: two signatures and a round trip. */
const PROOF_MS_MAX = 20_000;
/** A stranger joins once; a second stream is for its retry before this host has noticed that the first one broke. */
const STREAMS_MAX = 2;
/** Answers that transfer the chain; limited, so that nobody holds a stream for ever. */
const ROUNDS_MAX = 4096;

/** The wire's words for the reasons. */
export const REFUSALS: Readonly<Record<JoinRefusal, Refusal>> = {
  'not-admitting': Refusal.NOT_ADMITTING,
  expired: Refusal.EXPIRED,
  'used-up': Refusal.USED_UP,
  closed: Refusal.CLOSED,
  'bad-proof': Refusal.BAD_PROOF,
  'unknown-invite': Refusal.UNKNOWN_INVITE,
  'other-cluster': Refusal.OTHER_CLUSTER,
  'already-member': Refusal.ALREADY_MEMBER,
  revoked: Refusal.REVOKED,
  full: Refusal.FULL,
};

export async function serveJoin(net: Net, membership: Membership): Promise<void> {
  await net.handle(
    JOIN_PROTOCOL,
    async (stream, from, signal) => {
      using limit = within(JOIN_MS_MAX, signal);
      const frames = framed(stream, { bytesMax: ASK_BYTES_MAX, signal: limit.signal });
      const refuse = (because: JoinRefusal): Promise<void> =>
        frames.write(ReplyMessage, { refused: { code: REFUSALS[because] } });

      const { knock } = await frames.read(AskMessage, { withinMs: PROOF_MS_MAX });
      if (knock === undefined || knock.invite.length > INVITE_BYTES_MAX)
        throw badFrame('no knock where one was expected');
      const flaw = membership.inviteFlaw(knock.invite);
      if (flaw !== undefined) return await refuse(flaw);

      const nonce = randomBytes(NONCE_BYTES);
      await frames.write(ReplyMessage, { challenge: { nonce } });
      const { proof } = await frames.read(AskMessage, { withinMs: PROOF_MS_MAX });
      if (proof === undefined) throw badFrame('no proof where one was expected');
      const joiner = { peer: from, ...joinerFrom(proof) };
      const verdict = await membership.admit({ invite: knock.invite, joiner, nonce, proof: proof.proof });
      if (verdict.kind === 'refused') return await refuse(verdict.because);
      await frames.write(ReplyMessage, { admitted: { admission: verdict.admission.raw } });

      const reader = membership.readerOf(from) ?? { host: joiner.host, trust: verdict.admission.invite.trust };
      for (let round = 0; round < ROUNDS_MAX; round++) {
        const { more } = await frames.read(AskMessage);
        if (more === undefined || !Number.isSafeInteger(more.after)) throw badFrame('no `more` where one was expected');
        const limits = { countMax: VERSIONS_PER_ANSWER_MAX, bytesMax: ANSWER_BYTES_MAX };
        const versions = await membership.versionsFrom(more.after, limits);
        const isMore = (versions.at(-1)?.version ?? 0) < membership.configuration.version && versions.length > 0;
        await frames.write(ReplyMessage, {
          chain: { versions: versions.map(version => versionFor(version, reader)), more: isMore },
        });
        if (!isMore) return;
      }
    },
    { strangers: true, streamsMax: STREAMS_MAX },
  );
}

interface ProofMessage {
  readonly host: Uint8Array;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly proof: Uint8Array;
}

/** @throws ClusterError BAD_FRAME */
function joinerFrom({ host, name, addresses, proof }: ProofMessage) {
  const sound =
    host.length === ID_BYTES &&
    proof.length === SIGNATURE_BYTES &&
    NAME_PATTERN.test(name) &&
    addresses.length <= MEMBER_ADDRESSES_MAX &&
    addresses.every(isAddress);
  if (!sound) throw badFrame('a malformed proof');
  return { host: parseHostId(hexOf(host)), wantedName: name, addresses };
}
