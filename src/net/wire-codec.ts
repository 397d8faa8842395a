/**
 * Wire codec: one kind of message, between its fields and its bytes, with a limit on each of its lists.
 *
 * The decoder gets the limits, because afterwards is too late: an empty entry takes two bytes on the wire and some
 * hundred in memory, so a message of 1 MiB would take 360 MB, and a second of everybody's time.
 */
import type { DecodeOptions } from 'protons-runtime';
import type { Uint8ArrayList } from 'uint8arraylist';

/** As protons makes them. */
export interface WireCodec<T> {
  encode(message: NoInfer<T>): Uint8Array;
  decode(bytes: Uint8Array | Uint8ArrayList): T;
}

interface UnlimitedCodec<T> extends WireCodec<T> {
  decode(bytes: Uint8Array | Uint8ArrayList, options?: DecodeOptions<T>): T;
}

/**
 * @param limits the most entries that are read of each list, by its name; for lists inside a list, by its name and `$`.
 * `decode` throws when there are more.
 */
export function limited<T>(codec: UnlimitedCodec<T>, limits: NonNullable<DecodeOptions<T>['limits']>): WireCodec<T> {
  return { encode: message => codec.encode(message), decode: bytes => codec.decode(bytes, { limits }) };
}
