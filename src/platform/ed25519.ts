/**
 * Ed25519 by node:crypto, on raw keys: 32-byte seeds and 32-byte public keys, as libp2p and our wire have them.
 *
 * On Node 20, node:crypto takes raw Ed25519 keys only as DER, so the fixed DER heads of RFC 8410 are put in front. They
 * may go when `crypto.sign` takes raw keys in every supported Node release.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign as signBytes,
  verify as verifyBytes,
} from 'node:crypto';

const ED25519_KEY_BYTES = 32;
export const ED25519_SIGNATURE_BYTES = 64;

/** RFC 8410: a PKCS #8 private key around a 32-byte seed. */
const PRIVATE_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
/** RFC 8410: a SubjectPublicKeyInfo around a 32-byte public key. */
const PUBLIC_HEAD = Buffer.from('302a300506032b6570032100', 'hex');

/** Has the shape of core's `Signer`; platform must not import core. */
export interface Ed25519Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/** Both 32 bytes, from the system's random source. The seed is the secret. */
export function generateKeyPair(): { readonly publicKey: Uint8Array; readonly seed: Uint8Array } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  return {
    publicKey: new Uint8Array(publicKey.subarray(PUBLIC_HEAD.length)),
    seed: new Uint8Array(privateKey.subarray(PRIVATE_HEAD.length)),
  };
}

/** @throws RangeError when the seed is not 32 bytes. */
export function signerFromSeed(seed: Uint8Array): Ed25519Signer {
  if (seed.length !== ED25519_KEY_BYTES) {
    throw new RangeError(`an Ed25519 seed is ${ED25519_KEY_BYTES} bytes, this one has ${seed.length}`);
  }
  const privateKey = createPrivateKey({ key: Buffer.concat([PRIVATE_HEAD, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return {
    publicKey: new Uint8Array(spki.subarray(PUBLIC_HEAD.length)),
    sign: message => new Uint8Array(signBytes(null, message, privateKey)),
  };
}

/** True when `signature` is by `publicKey` over `message`. Never throws: keys and signatures come from peers. */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== ED25519_KEY_BYTES || signature.length !== ED25519_SIGNATURE_BYTES) return false;
  try {
    const key = createPublicKey({ key: Buffer.concat([PUBLIC_HEAD, publicKey]), format: 'der', type: 'spki' });
    return verifyBytes(null, message, key, signature);
  } catch {
    // The 32 bytes are no point of the curve: nobody can have signed with them.
    return false;
  }
}
