/**
 * Sealed object: a canonical body and its origin's Ed25519 signature over exactly these bytes: `[body, signature]`.
 *
 * The body begins with its domain string (core/signed.ts), so a signature for one kind is never valid for another.
 * Snapshots and heads are sealed. A seal proves who wrote the body, not that it is true or the newest.
 */
import { decode, encode } from 'cborg';
import type { Signer } from '../core/signed.js';
import { ED25519_SIGNATURE_BYTES, verify } from '../platform/ed25519.js';
import { MalformedObject, readArray, readBytes } from './malformed-object.js';

/** Not signed by that key, or changed since: whoever passed it on is to blame. */
export class BadSignature extends Error {
  readonly code = 'BAD_SIGNATURE';
  readonly blame = 'peer';
}

/** The signature and its head, and the heads of the array and the body. */
const SEAL_BYTES = ED25519_SIGNATURE_BYTES + 16;

export const seal = (body: Uint8Array, signer: Signer): Uint8Array => encode([body, signer.sign(body)]);

/** The body, without verifying it. @throws MalformedObject */
export function bodyOf(sealed: Uint8Array, { bytesMax }: { readonly bytesMax: number }): Uint8Array {
  return open(sealed, bytesMax).body;
}

/** @throws MalformedObject, BadSignature */
export function verifySeal(
  sealed: Uint8Array,
  { publicKey, bytesMax }: { readonly publicKey: Uint8Array; readonly bytesMax: number },
): void {
  const { body, signature } = open(sealed, bytesMax);
  if (!verify(publicKey, body, signature))
    throw new BadSignature('the signature is not by the origin’s key over these bytes');
}

/** What `read` makes of an object with the first key that has signed it. @throws what it throws; BadSignature for none */
export function verifyWithOneOf<T>(keys: readonly Uint8Array[], read: (key: Uint8Array) => T): T {
  let wrong = new BadSignature('nobody is known who could have signed it');
  for (const key of keys) {
    try {
      return read(key);
    } catch (error) {
      if (!(error instanceof BadSignature)) throw error;
      wrong = error;
    }
  }
  throw wrong;
}

function open(sealed: Uint8Array, bytesMax: number): { readonly body: Uint8Array; readonly signature: Uint8Array } {
  if (sealed.length > bytesMax)
    throw new MalformedObject(`sealed object: ${sealed.length} bytes, at most ${bytesMax} are allowed`);
  let fields: unknown;
  try {
    fields = decode(sealed, { strict: true, allowIndefinite: false, allowUndefined: false });
  } catch (cause) {
    throw new MalformedObject('sealed object: not canonical CBOR', { cause });
  }
  const [body, signature] = readArray(fields, 'sealed object', { min: 2, max: 2 });
  return {
    body: readBytes(body, 'body', { min: 1, max: bytesMax - SEAL_BYTES }),
    signature: readBytes(signature, 'signature', { min: ED25519_SIGNATURE_BYTES, max: ED25519_SIGNATURE_BYTES }),
  };
}
