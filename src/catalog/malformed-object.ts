/**
 * Malformed object: the error for catalog bytes that this program cannot have written, and the careful reading that
 * finds them.
 *
 * Records, pages, snapshots and heads come from peers and disks. Their decoders check every field and throw this error
 * and no other, whatever the bytes are; each checks its kind's size limit first, which bounds the time.
 */
import { decode } from 'cborg';
import { TIME_MS_MAX } from '../core/day.js';

export class MalformedObject extends Error {
  readonly code = 'MALFORMED_OBJECT';
  readonly blame = 'peer';
}

/**
 * Reads back what this host has just made.
 * @throws Error that is a bug, when no host could read it: whoever lists such an object would take all that is listed
 * with it from the others
 */
export function readBack(what: () => string, read: () => unknown): void {
  try {
    read();
  } catch (cause) {
    throw new Error(`bug: nobody could read the ${what()}; nothing was stored`, { cause });
  }
}

/** The fields of a canonical array that begins with `tag`, the optional ones last. @throws MalformedObject */
export function decodeFields(
  bytes: Uint8Array,
  {
    tag,
    bytesMax,
    fields,
    optional = 0,
  }: { readonly tag: string; readonly bytesMax: number; readonly fields: number; readonly optional?: number },
): readonly unknown[] {
  if (bytes.length > bytesMax)
    throw new MalformedObject(`${tag}: ${bytes.length} bytes, at most ${bytesMax} are allowed`);
  let decoded: unknown;
  try {
    decoded = decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
    });
  } catch (cause) {
    throw new MalformedObject(`${tag}: not canonical CBOR`, { cause });
  }
  if (!Array.isArray(decoded)) throw new MalformedObject(`${tag}: not an array`);
  const [found, ...rest] = decoded as unknown[];
  if (found !== tag) throw new MalformedObject(`${tag}: another kind of object`);
  if (rest.length < fields || rest.length > fields + optional)
    throw new MalformedObject(`${tag}: ${rest.length} fields instead of ${fields}`);
  return rest;
}

/** Byte strings of a fixed or bounded length. */
export function readBytes(
  value: unknown,
  what: string,
  { min, max }: { readonly min: number; readonly max: number },
): Buffer {
  if (!(value instanceof Uint8Array)) throw new MalformedObject(`${what}: not bytes`);
  if (value.length < min || value.length > max) {
    throw new MalformedObject(`${what}: ${value.length} bytes, expected ${min === max ? min : `${min} to ${max}`}`);
  }
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** A byte string of exactly `length` bytes, in lower-case hex. */
export const readHex = (value: unknown, what: string, length: number): string =>
  readBytes(value, what, { min: length, max: length }).toString('hex');

/** A whole number from 0 (or `min`) to `max`, at most 2^53 − 1. */
export function readCount(
  value: unknown,
  what: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { readonly min?: number; readonly max?: number } = {},
): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max || Object.is(value, -0)) {
    throw new MalformedObject(`${what}: not a whole number from ${min} to ${max}`);
  }
  return value;
}

/** Ms since 1970. */
export const readTime = (value: unknown, what: string): number => readCount(value, what, { max: TIME_MS_MAX });

/** A whole number of up to 64 bits; cborg gives the small ones as numbers. */
export function readBigCount(
  value: unknown,
  what: string,
  { min, max }: { readonly min: bigint; readonly max: bigint },
): bigint {
  const big =
    typeof value === 'bigint'
      ? value
      : typeof value === 'number' && Number.isSafeInteger(value)
        ? BigInt(value)
        : undefined;
  if (big === undefined || big < min || big > max)
    throw new MalformedObject(`${what}: not a whole number from ${min} to ${max}`);
  return big;
}

export function readText(value: unknown, what: string, { max }: { readonly max: number }): string {
  if (typeof value !== 'string' || value.length > max)
    throw new MalformedObject(`${what}: not a text of at most ${max} characters`);
  return value;
}

export function readArray(
  value: unknown,
  what: string,
  { min = 0, max }: { readonly min?: number; readonly max: number },
): readonly unknown[] {
  if (!Array.isArray(value)) throw new MalformedObject(`${what}: not an array`);
  if (value.length < min || value.length > max)
    throw new MalformedObject(`${what}: ${value.length} items, expected ${min} to ${max}`);
  return value as unknown[];
}

/** Runs a `parse…` of core and turns its error into `MalformedObject`. */
export function readParsed<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new MalformedObject(what, { cause });
  }
}
