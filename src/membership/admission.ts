/**
 * Admission: a member's word that a stranger has proved an invite. It makes the stranger a provisional member until an
 * admin host writes it into the configuration.
 *
 * Everybody can check it, since it carries all three signatures: the admin's (the invite), the one-time key's over who
 * joins and before whom (the proof), and the admitting member's over the whole. The proof covers the admitting member's
 * nonce and key and the joiner's peer key, which noise has proved on that connection: it is valid for this one meeting
 * only.
 */
import { encode } from 'cborg';
import { TIME_MS_MAX } from '../core/day.js';
import { hashHex } from '../core/hash.js';
import { bytesOf, type ClusterId, type HostId, NAME_PATTERN, type PeerName, parseHostId } from '../core/ids.js';
import { type Signer, signable } from '../core/signed.js';
import { verify } from '../platform/ed25519.js';
import { type Configuration, MEMBER_ADDRESSES_MAX } from './configuration.js';
import { malformed, readFields, readSignable } from './fields.js';
import { INVITE_BYTES_MAX, type Invite, readInvite } from './invite.js';
import { hostIdOf, ID_BYTES, KEY_BYTES, peerNameOf, publicKeyOf, SIGNATURE_BYTES } from './peer-key.js';
import { isAddress } from './policy-schema.js';

/** Eight addresses of 300 characters, an invite and some keys. */
const ADMISSION_BYTES_MAX = 4096;
export const NONCE_BYTES = 32;
const DOMAIN = 'scatterhoard/admission/1';
const PROOF_DOMAIN = 'scatterhoard/join/1';

/** What the joiner says of itself. */
export interface Joiner {
  readonly peer: PeerName;
  readonly host: HostId;
  readonly wantedName: string;
  readonly addresses: readonly string[];
}

/** Before which member, and when, the joiner proved the invite. */
export interface Meeting {
  readonly cluster: ClusterId;
  readonly inviteId: string;
  readonly admitter: PeerName;
  /** 32 random bytes from the admitting member. */
  readonly nonce: Uint8Array;
}

export interface Admission extends Joiner {
  /**
   * BLAKE3 of the signed bytes, 64 hex digits. When two admissions compete for one use, the one with the lower hash
   * gets it.
   */
  readonly hash: string;
  readonly invite: Invite;
  readonly admitter: PeerName;
  readonly admittedMs: number;
  readonly raw: Uint8Array;
}

/** What the one-time key signs. */
export function proofMessage(
  { peer, host, wantedName, addresses }: Joiner,
  { cluster, inviteId, admitter, nonce }: Meeting,
): Uint8Array {
  return signable(PROOF_DOMAIN, [
    bytesOf(cluster),
    bytesOf(inviteId),
    publicKeyOf(peer),
    bytesOf(host),
    wantedName,
    [...addresses],
    publicKeyOf(admitter),
    nonce,
  ]);
}

/** Made by the member that the joiner met. @throws ClusterError MALFORMED when the proof does not hold. */
export function signAdmission(
  joiner: Joiner,
  {
    invite,
    nonce,
    proof,
    signer,
    nowMs,
  }: {
    readonly invite: Invite;
    readonly nonce: Uint8Array;
    readonly proof: Uint8Array;
    readonly signer: Signer;
    readonly nowMs: number;
  },
): Admission {
  const body = signable(DOMAIN, [
    invite.raw,
    publicKeyOf(joiner.peer),
    bytesOf(joiner.host),
    joiner.wantedName,
    [...joiner.addresses],
    signer.publicKey,
    nonce,
    proof,
    nowMs,
  ]);
  return readAdmission(encode([body, signer.sign(body)]));
}

/**
 * Reads an admission and checks everything that it can prove by itself: three signatures, the host id, and that it was
 * made in time. What only the cluster can say (whether that is an admin, and a member) is checked by `admissionFlaw`.
 *
 * @throws ClusterError MALFORMED
 */
export function readAdmission(raw: Uint8Array): Admission {
  const outer = readFields('admission', raw, ADMISSION_BYTES_MAX);
  const body = outer.bytesUpTo('body', ADMISSION_BYTES_MAX);
  const signature = outer.bytes('signature', SIGNATURE_BYTES);
  outer.end();
  const fields = readSignable('admission', DOMAIN, body, ADMISSION_BYTES_MAX);
  const invite = readInvite(fields.bytesUpTo('invite', INVITE_BYTES_MAX));
  const key = fields.bytes('key', KEY_BYTES);
  const host = parseHostId(fields.hex('host', ID_BYTES));
  const wantedName = fields.text('wantedName', NAME_PATTERN);
  const addresses = fields.texts('addresses', MEMBER_ADDRESSES_MAX, isAddress);
  const admitterKey = fields.bytes('admitter', KEY_BYTES);
  const nonce = fields.bytes('nonce', NONCE_BYTES);
  const proof = fields.bytes('proof', SIGNATURE_BYTES);
  const admittedMs = fields.integer('admittedMs', 0, TIME_MS_MAX);
  fields.end();

  const joiner = { peer: peerNameOf(key), host, wantedName, addresses };
  const admitter = peerNameOf(admitterKey);
  if (hostIdOf(key) !== host) throw malformed('admission: the host id is not that of the key');
  if (!verify(admitterKey, body, signature)) throw malformed('admission: not signed by the member that it names');
  const meeting = { cluster: invite.cluster, inviteId: invite.id, admitter, nonce };
  if (!verify(invite.key, proofMessage(joiner, meeting), proof))
    throw malformed('admission: the invite was not proved');
  if (admittedMs >= invite.expiresMs) throw malformed('admission: made after the invite had expired');
  return { ...joiner, hash: hashHex(body), invite, admitter, admittedMs, raw };
}

export type AdmissionFlaw = 'other-cluster' | 'unknown-invite' | 'closed-invite' | 'unknown-admitter';

/**
 * Why an admission is not valid by the configuration in use; `undefined` when it is. A later version may decide
 * otherwise.
 */
export function admissionFlaw(
  { invite, admitter }: Admission,
  configuration: Configuration,
): AdmissionFlaw | undefined {
  const { cluster, admins, members } = configuration;
  if (invite.cluster !== cluster) return 'other-cluster';
  if (!admins.some(admin => admin.key === invite.admin)) return 'unknown-invite';
  if (isClosed(invite.id, configuration)) return 'closed-invite';
  const member = members.find(({ peer }) => peer === admitter);
  // A provisional or untrusted member may not admit anybody, and a revoked one no longer may.
  return member === undefined || member.state === 'revoked' || member.trust === 'untrusted'
    ? 'unknown-admitter'
    : undefined;
}

/**
 * Once a host that joined by an invite is revoked, or its machine replaced, nobody may join by it any longer: that
 * machine still has the token, and would come back with a new key. Hosts admitted by it that are not written down yet
 * are not let in either: the member that admitted them may not have heard of the revocation.
 */
export const isClosed = (invite: string, { members, replaced }: Pick<Configuration, 'members' | 'replaced'>): boolean =>
  replaced.some(former => former.invite === invite) ||
  members.some(member => member.invite === invite && member.state === 'revoked');
