/**
 * Peer keys: a host's raw Ed25519 public key, and the two names derived from it: its present libp2p peer id, and the
 * host id, which comes from its first key and never changes.
 */
import { publicKeyFromRaw } from '@libp2p/crypto/keys';
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id';
import { hash } from '../core/hash.js';
import { type HostId, hexOf, type PeerName, parseHostId, parsePeerName } from '../core/ids.js';

/** Raw Ed25519 public keys and seeds. */
export const KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;
/** Host, cluster and invite ids. */
export const ID_BYTES = 16;
export const HASH_BYTES = 32;

export const peerNameOf = (publicKey: Uint8Array): PeerName =>
  parsePeerName(peerIdFromPublicKey(publicKeyFromRaw(publicKey)).toString());

/** The raw key that a peer id carries. @throws Error for a peer id of another kind than Ed25519. */
export function publicKeyOf(peer: PeerName): Uint8Array {
  const { publicKey } = peerIdFromString(peer);
  if (publicKey?.type !== 'Ed25519') throw new Error(`not an Ed25519 peer id: ${peer}`);
  return publicKey.raw;
}

/** First 16 bytes of BLAKE3 of a host's first peer key. */
export const hostIdOf = (firstPublicKey: Uint8Array): HostId =>
  parseHostId(hexOf(hash(firstPublicKey).subarray(0, ID_BYTES)));
