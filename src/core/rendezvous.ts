/**
 * Rendezvous: which hosts should hold a parcel? Every host computes the same order on its own.
 *
 * Weighted rendezvous hashing (Thaler & Ravishankar 1998; weights after Schindelhauer & Schomaker 2005): a host's score
 * for a key is −log2(u) / weight, where u is a uniform number derived from hash(key, host); the lowest score comes
 * first. A host with twice the weight gets twice the parcels, and a host that comes or goes moves only its own share.
 *
 * Everything is in integers, because hosts that rounded differently would disagree about who must act: logarithms are
 * fixed-point from a table made with BigInt, and scores are compared crosswise instead of divided.
 */
import { assert } from './fault.js';

/** Fraction bits of a logarithm. The largest logarithm is 33 × 2^20, the largest weight 2^27: products stay < 2^53. */
const LOG_FRACTION_BITS = 20;
/** 2^27 MiB, 128 TiB: a host with more room counts as having this much. */
export const WEIGHT_MIB_MAX = 2 ** 27;

/** Table of log2(1 + i / 1024) in 20-bit fixed point; between entries the straight line is off by less than 2^-20. */
const TABLE_BITS = 10;
const LOG_TABLE = makeLogTable();

function makeLogTable(): Int32Array {
  const size = 1 << TABLE_BITS;
  const table = new Int32Array(size + 1);
  const workingBits = 62n;
  for (let i = 0; i < size; i += 1) {
    // log2 of x in [1, 2) bit by bit: square x; when it reaches 2 the bit is one and x is halved.
    let x = ((BigInt(size) + BigInt(i)) << workingBits) / BigInt(size);
    let log = 0;
    for (let bit = 0; bit < LOG_FRACTION_BITS; bit += 1) {
      x = (x * x) >> workingBits;
      log <<= 1;
      if (x >> workingBits >= 2n) {
        log |= 1;
        x >>= 1n;
      }
    }
    table[i] = log;
  }
  table[size] = 1 << LOG_FRACTION_BITS;
  return table;
}

/** −log2((h + ½) / 2^32) in 20-bit fixed point, for a 32-bit `h`: from about 0 to 33 × 2^20. */
export function negativeLog2(h: number): number {
  const uniform = h >>> 0;
  // 2h + 1 has up to 33 bits: its exponent is that of h, one higher, and 0 for h = 0.
  const zeros = Math.clz32(uniform);
  const exponent = 32 - zeros;
  // The mantissa of (2h + 1) / 2^exponent in [1, 2), as 32 fraction bits: h from the top without its leading one, then
  // the ½.
  const fraction = ((uniform << zeros) << 1) | (1 << zeros);
  const index = fraction >>> (32 - TABLE_BITS);
  const rest = (fraction & (2 ** (32 - TABLE_BITS) - 1)) >>> 2;
  const low = LOG_TABLE[index] ?? 0;
  const high = LOG_TABLE[index + 1] ?? 0;
  // Below 2^31: two entries differ by less than 1480, the rest is below 2^20.
  const log = (exponent << LOG_FRACTION_BITS) + low + (((high - low) * rest) >>> (30 - TABLE_BITS));
  return 33 * 2 ** LOG_FRACTION_BITS - log;
}

/** The four 32-bit words of a 16-byte id, as host ids and keys are: both are parts of hashes, so uniform already. */
export type IdWords = ArrayLike<number>;

/** `into`: an array to reuse. */
export function idWords(bytes: Uint8Array, offset = 0, into = new Int32Array(4)): Int32Array {
  for (let word = 0; word < 4; word += 1) {
    const at = offset + 4 * word;
    into[word] =
      ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  }
  return into;
}

/** MurmurHash3's finalizer (Appleby): every input bit reaches every output bit. */
export function mix(h: number): number {
  let mixed = h ^ (h >>> 16);
  mixed = Math.imul(mixed, 0x85eb_ca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}

/** The uniform 32-bit number of a key and a host. */
export function pairHash(key: IdWords, host: IdWords): number {
  let h = 0;
  for (let i = 0; i < 4; i += 1)
    h = mix(Math.imul(h, 5) + ((key[i] as number) ^ Math.imul(host[i] as number, 0x9e37_79b1)));
  return h >>> 0;
}

export interface Scored {
  /** −log2(u), fixed point. */
  readonly log: number;
  /** 1 to WEIGHT_MIB_MAX. */
  readonly weightMiB: number;
  /** The tie-breaker of equal scores. */
  readonly host: string;
}

export function scoreOf(key: IdWords, host: IdWords, hostId: string, weightMiB: number): Scored {
  assert(weightMiB >= 1 && weightMiB <= WEIGHT_MIB_MAX, `weight out of range: ${weightMiB}`);
  return { log: negativeLog2(pairHash(key, host)), weightMiB, host: hostId };
}

/** True when `a` comes before `b`: log_a / weight_a < log_b / weight_b. */
export function comesBefore(a: Scored, b: Scored): boolean {
  const left = a.log * b.weightMiB;
  const right = b.log * a.weightMiB;
  return left !== right ? left < right : a.host < b.host;
}
