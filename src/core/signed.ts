/**
 * Signed: a domain string and fields, as one canonical cborg array, so that a signature made for one purpose can never
 * stand for another.
 */
import { encode } from 'cborg';

/** `[domain, ...fields]` in canonical CBOR. Fields: integers, bigints, strings, bytes, arrays, null; not undefined. */
export function signable(domain: string, fields: readonly unknown[]): Uint8Array {
  return encode([domain, ...fields]);
}

/** Signs with a host's or an admin's Ed25519 key. */
export interface Signer {
  /** The raw public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}
