/**
 * Fields: reads a signed CBOR array that came from a peer, a file or an operator's clipboard.
 *
 * Every read names what it expects, checks type and size, and throws MALFORMED with the name of the field: nothing from
 * a peer is assumed to have a certain shape. Lists are bounded before they are walked; integers are safe ones.
 */
import { decode } from 'cborg';
import { ClusterError } from '../core/fault.js';
import { hexOf } from '../core/ids.js';

/** Where the array comes from, for the message: `configuration.members.3`. */
export class Fields {
  readonly #what: string;
  readonly #values: readonly unknown[];
  #at = 0;

  constructor(what: string, values: readonly unknown[]) {
    this.#what = what;
    this.#values = values;
  }

  bytes(name: string, length: number): Uint8Array {
    const value = this.#next();
    if (!(value instanceof Uint8Array) || value.length !== length) throw this.#malformed(name, `${length} bytes`);
    return value;
  }

  bytesUpTo(name: string, most: number): Uint8Array {
    const value = this.#next();
    if (!(value instanceof Uint8Array) || value.length > most) throw this.#malformed(name, `at most ${most} bytes`);
    return value;
  }

  /** Bytes as hex. */
  hex(name: string, length: number): string {
    return hexOf(this.bytes(name, length));
  }

  text(name: string, pattern: RegExp): string {
    const value = this.#next();
    if (typeof value !== 'string' || !pattern.test(value)) throw this.#malformed(name, String(pattern));
    return value;
  }

  integer(name: string, least: number, most: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#next();
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least || value > most) {
      throw this.#malformed(name, `an integer from ${least} to ${most}`);
    }
    return value;
  }

  /** A word of a closed list, sent as its index. */
  word<const Word extends string>(name: string, words: readonly Word[]): Word {
    const word = words[this.integer(name, 0, words.length - 1)];
    if (word === undefined) throw this.#malformed(name, words.join(' or '));
    return word;
  }

  texts(name: string, countMax: number, isValid: (text: string) => boolean): readonly string[] {
    const values = this.#list(name, countMax);
    const texts = values.filter((value): value is string => typeof value === 'string' && isValid(value));
    if (texts.length !== values.length) throw this.#malformed(name, 'a list of valid texts');
    return texts;
  }

  /** A list of arrays, each of which `read` must read to its end. */
  list<T>(name: string, countMax: number, read: (item: Fields) => T): readonly T[] {
    return this.#list(name, countMax).map((value, index) => {
      if (!Array.isArray(value)) throw this.#malformed(`${name}.${index}`, 'an array');
      const item = new Fields(`${this.#what}.${name}.${index}`, value);
      const result = read(item);
      item.end();
      return result;
    });
  }

  /** True when the next field is null, which is then skipped. */
  isNothing(): boolean {
    if (this.#values[this.#at] !== null) return false;
    this.#at++;
    return true;
  }

  /** True when no fields are left: what an earlier release wrote lacks the fields that a later one added. */
  isAtEnd(): boolean {
    return this.#at >= this.#values.length;
  }

  /** @throws when fields are left over: a format of another version must not be taken for this one. */
  end(): void {
    if (this.#at !== this.#values.length)
      throw malformed(`${this.#what}: ${this.#values.length} fields, expected ${this.#at}`);
  }

  #list(name: string, countMax: number): readonly unknown[] {
    const value = this.#next();
    if (!Array.isArray(value) || value.length > countMax) throw this.#malformed(name, `a list of at most ${countMax}`);
    return value;
  }

  #next(): unknown {
    return this.#values[this.#at++];
  }

  #malformed(name: string, expected: string): ClusterError {
    return malformed(`${this.#what}.${name}: expected ${expected}`);
  }
}

/** @throws ClusterError MALFORMED unless `bytes` is one CBOR array of definite length within the limit. */
export function readFields(what: string, bytes: Uint8Array, bytesMax: number): Fields {
  if (bytes.length > bytesMax) throw malformed(`${what}: ${bytes.length} bytes, at most ${bytesMax} are allowed`);
  let value: unknown;
  try {
    value = decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowNaN: false,
      allowInfinity: false,
    });
  } catch (cause) {
    throw malformed(`${what}: no valid CBOR`, cause);
  }
  if (!Array.isArray(value)) throw malformed(`${what}: no array`);
  return new Fields(what, value);
}

/** `readFields` for what `signable` made: the first field must be this domain string. */
export function readSignable(what: string, domain: string, bytes: Uint8Array, bytesMax: number): Fields {
  const fields = readFields(what, bytes, bytesMax);
  const found = fields.text('domain', /^[\x20-\x7e]{1,64}$/);
  if (found !== domain) throw malformed(`${what}: made for ${found}, not for ${domain}`);
  return fields;
}

export function malformed(message: string, cause?: unknown): ClusterError {
  return new ClusterError('MALFORMED', message, { blame: 'peer', cause });
}

/** True for the error that the readers here throw. */
export const isMalformed = (error: unknown): boolean => error instanceof ClusterError && error.code === 'MALFORMED';
