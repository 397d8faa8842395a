/**
 * Invite: an admin's word that whoever has a one-time key may join. The token is that word, the private key and the
 * addresses to contact, as one line of text for a person to carry.
 *
 * The invite itself (without the private key) travels among the members, so that any of them can admit a host while the
 * admin host is away. The token carries a checksum, so that a typing error can be told from a forgery, an expired token
 * and one of another cluster.
 */
import { encode } from 'cborg';
import { TIME_MS_MAX } from '../core/day.js';
import { ClusterError } from '../core/fault.js';
import { hash } from '../core/hash.js';
import { bytesOf, type ClusterId, hexOf, type PeerName, parseClusterId } from '../core/ids.js';
import { type Signer, signable } from '../core/signed.js';
import { generateKeyPair, verify } from '../platform/ed25519.js';
import { bytesOfText, checkedText } from './checked-text.js';
import { TRUSTS, type Trust } from './configuration.js';
import { isMalformed, readFields, readSignable } from './fields.js';
import { ID_BYTES, KEY_BYTES, peerNameOf, publicKeyOf, SIGNATURE_BYTES } from './peer-key.js';
import { isAddress } from './policy-schema.js';

/** A whole school may join on one token. */
export const INVITE_USES_MAX = 1000;
/** The size of an invite on the wire. */
export const INVITE_BYTES_MAX = 512;
/** How many members a token gives addresses of. */
export const TOKEN_PEERS_MAX = 8;
/** Addresses of each. With all of them a token has some 6000 characters, with usual ones 500. */
const TOKEN_ADDRESSES_MAX = 8;
/** A longer text is not even parsed. */
const TOKEN_CHARACTERS_MAX = 32 * 1024;
const TOKEN_PREFIX = 'scatterhoard1';
const DOMAIN = 'scatterhoard/invite/1';

export interface Invite {
  /** First 16 bytes of BLAKE3 of the signed bytes, as hex. */
  readonly id: string;
  readonly cluster: ClusterId;
  /** The one-time public key. */
  readonly key: Uint8Array;
  /** How many hosts may join by it. */
  readonly uses: number;
  readonly madeMs: number;
  readonly expiresMs: number;
  readonly trust: Trust;
  /** The admin key that signed it, 64 hex digits. */
  readonly admin: string;
  readonly raw: Uint8Array;
}

/** A member and the addresses at which it may be reached. */
export interface Door {
  readonly peer: PeerName;
  readonly addresses: readonly string[];
}

export interface Token {
  readonly invite: Invite;
  /** The one-time private key. */
  readonly seed: Uint8Array;
  /** The member that made the invite comes first. */
  readonly doors: readonly Door[];
}

export interface InviteTerms {
  readonly cluster: ClusterId;
  readonly uses: number;
  readonly nowMs: number;
  readonly expiresMs: number;
  readonly trust: Trust;
}

/** @throws ClusterError BAD_INVITE when a term is out of bounds. */
export function signInvite(
  { cluster, uses, nowMs, expiresMs, trust }: InviteTerms,
  admin: Signer,
): Pick<Token, 'invite' | 'seed'> {
  if (!Number.isInteger(uses) || uses < 1 || uses > INVITE_USES_MAX) {
    throw new ClusterError(
      'BAD_INVITE',
      `uses must be a whole number from 1 to ${INVITE_USES_MAX}, not ${uses}; no invite was made`,
      {
        blame: 'operator',
      },
    );
  }
  if (!Number.isSafeInteger(expiresMs) || expiresMs <= nowMs || expiresMs > TIME_MS_MAX) {
    throw new ClusterError(
      'BAD_INVITE',
      'an invite must expire after now and before the year 10000; no invite was made',
      {
        blame: 'operator',
      },
    );
  }
  const { publicKey, seed } = generateKeyPair();
  const body = signable(DOMAIN, [
    bytesOf(cluster),
    publicKey,
    uses,
    nowMs,
    expiresMs,
    TRUSTS.indexOf(trust),
    admin.publicKey,
  ]);
  return { invite: readInvite(encode([body, admin.sign(body)])), seed };
}

/**
 * Reads an invite and checks its signature; the caller must check that the signer is an admin of the cluster. @throws
 * ClusterError MALFORMED
 */
export function readInvite(raw: Uint8Array): Invite {
  const outer = readFields('invite', raw, INVITE_BYTES_MAX);
  const body = outer.bytesUpTo('body', INVITE_BYTES_MAX);
  const signature = outer.bytes('signature', SIGNATURE_BYTES);
  outer.end();
  const fields = readSignable('invite', DOMAIN, body, INVITE_BYTES_MAX);
  const cluster = parseClusterId(fields.hex('cluster', ID_BYTES));
  const key = fields.bytes('key', KEY_BYTES);
  const uses = fields.integer('uses', 1, INVITE_USES_MAX);
  const madeMs = fields.integer('madeMs', 0, TIME_MS_MAX);
  const expiresMs = fields.integer('expiresMs', 0, TIME_MS_MAX);
  const trust = fields.word('trust', TRUSTS);
  const admin = fields.bytes('admin', KEY_BYTES);
  fields.end();
  if (!verify(admin, body, signature)) {
    throw new ClusterError('MALFORMED', 'invite: its signature is not by the admin that it names', { blame: 'peer' });
  }
  const id = hexOf(hash(body).subarray(0, ID_BYTES));
  return { id, cluster, key, uses, madeMs, expiresMs, trust, admin: hexOf(admin), raw };
}

/** One line, no spaces: letters, digits, `-` and `_`. */
export function tokenText({ invite, seed, doors }: Token): string {
  const named = doors
    .slice(0, TOKEN_PEERS_MAX)
    .map(({ peer, addresses }) => [publicKeyOf(peer), addresses.filter(isAddress).slice(0, TOKEN_ADDRESSES_MAX)]);
  return TOKEN_PREFIX + checkedText(encode([invite.raw, seed, named]));
}

/** Reads a token, with white space around or line breaks within. @throws ClusterError TOKEN_DAMAGED, TOKEN_TOO_NEW */
export function parseToken(text: string): Token {
  const trimmed = text.slice(0, TOKEN_CHARACTERS_MAX + 1).replace(/\s+/g, '');
  const [, release, encoded] = /^scatterhoard(\d+?)([A-Za-z0-9_-]*)$/.exec(trimmed) ?? [];
  if (encoded === undefined || trimmed.length > TOKEN_CHARACTERS_MAX) {
    throw damaged('it does not begin with scatterhoard1, or has characters that no token has');
  }
  if (release !== '1') {
    throw new ClusterError(
      'TOKEN_TOO_NEW',
      `this token has format ${release}, and this program knows only format 1; nothing was done. Update this program`,
      {
        blame: 'operator',
      },
    );
  }
  const bytes = bytesOfText(encoded);
  if (bytes === undefined) throw damaged('its checksum is wrong');
  try {
    const fields = readFields('token', bytes, TOKEN_CHARACTERS_MAX);
    const invite = readInvite(fields.bytesUpTo('invite', INVITE_BYTES_MAX));
    const seed = fields.bytes('seed', KEY_BYTES);
    const doors = fields.list('doors', TOKEN_PEERS_MAX, item => ({
      peer: peerNameOf(item.bytes('key', KEY_BYTES)),
      addresses: item.texts('addresses', TOKEN_ADDRESSES_MAX, isAddress),
    }));
    fields.end();
    return { invite, seed, doors };
  } catch (error) {
    if (isMalformed(error)) throw damaged('its content is not valid for a token', error);
    throw error;
  }
}

function damaged(what: string, cause?: unknown): ClusterError {
  return new ClusterError(
    'TOKEN_DAMAGED',
    `this is not a complete token: ${what}. Nothing was done. Copy again the whole line that \`cluster invite\` printed`,
    {
      blame: 'operator',
      cause,
    },
  );
}
