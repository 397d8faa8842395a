/**
 * Checked text: bytes as letters, digits, `-` and `_`, for a person to carry in one line, with a checksum behind them, so
 * that a typing error can be told from a forgery.
 */
import { hash } from '../core/hash.js';

const CHECKSUM_BYTES = 6;

const checksum = (bytes: Uint8Array): Uint8Array => hash(bytes).subarray(0, CHECKSUM_BYTES);

export const checkedText = (bytes: Uint8Array): string => Buffer.concat([bytes, checksum(bytes)]).toString('base64url');

/** The bytes; `undefined` when the text is not whole. */
export function bytesOfText(text: string): Uint8Array | undefined {
  const all = Buffer.from(text, 'base64url');
  const bytes = all.subarray(0, -CHECKSUM_BYTES);
  if (!checksum(bytes).every((byte, index) => byte === all[bytes.length + index])) return undefined;
  // base64url can decode other spellings too; only the one that was printed is the text.
  return all.toString('base64url') === text ? bytes : undefined;
}
