/**
 * Head signers: whose key signs the heads and snapshots of a source: its origin's present one, and those that the
 * origin had before, if it was revoked or another machine has taken its place, as far as the configuration lets their
 * heads stand.
 *
 * A snapshot is valid with any of these keys, because only a valid head makes it wanted.
 */
import { decodeHead, type Head, headHash, verifyHead } from '../catalog/head.js';
import { BadSignature, verifyWithOneOf } from '../catalog/sealed-object.js';
import { ClusterError } from '../core/fault.js';
import { type HostId, type SourceId, splitSourceId } from '../core/ids.js';
import type { FormerWords, Revocations } from './revocations.js';
import type { Roster } from './roster.js';

/** A head with the bytes that were signed. It was verified, or was when it was kept. */
interface SignedHead {
  readonly head: Pick<Head, 'source' | 'seq'>;
  readonly sealed: Uint8Array;
}

/** What a signed head is worth: not later than the last valid one of a former key, or that one, or later. */
type HeadStanding = 'valid' | 'last' | 'void';

export class HeadSigners {
  readonly #roster: Pick<Roster, 'keyOf' | 'nameOf'>;
  readonly #revocations: Pick<Revocations, 'wordsOf' | 'lastHead'>;
  /** The key of each head with former keys that was asked about: a signature takes a tenth of a millisecond to check. */
  readonly #keys = new WeakMap<Uint8Array, Uint8Array>();

  constructor({
    roster,
    revocations,
  }: {
    readonly roster: Pick<Roster, 'keyOf' | 'nameOf'>;
    readonly revocations: Pick<Revocations, 'wordsOf' | 'lastHead'>;
  }) {
    this.#roster = roster;
    this.#revocations = revocations;
  }

  /** The present one first. Empty for a source whose host is not, and never was, a member. */
  keysOf(source: SourceId): readonly Uint8Array[] {
    const { origin } = splitSourceId(source);
    const present = this.#roster.keyOf(origin);
    const former = this.#revocations.wordsOf(origin).map(({ key }) => key);
    return present === undefined ? former : [present, ...former];
  }

  /** @throws ClusterError HEAD_OF_STRANGER (peer) */
  needKeys(source: SourceId): readonly Uint8Array[] {
    const keys = this.keysOf(source);
    if (keys.length === 0)
      throw new ClusterError('HEAD_OF_STRANGER', `${source} belongs to no present or former member`, {
        blame: 'peer',
      });
    return keys;
  }

  /** Reads a head that one of these keys has signed. @throws MalformedObject, BadSignature */
  verify(sealed: Uint8Array, keys: readonly Uint8Array[] = this.keysOf(decodeHead(sealed).source)): Head {
    return verifyWithOneOf(keys, key => verifyHead(sealed, key));
  }

  #standing({ head, sealed }: SignedHead): HeadStanding {
    const { origin } = splitSourceId(head.source);
    const former = this.#revocations.wordsOf(origin);
    // Nearly always.
    if (former.length === 0) return 'valid';
    const key = this.#signerOf(sealed, head.source);
    // In a branch that lost, the host may have had a key that it never had in this one.
    if (key === undefined) return 'void';
    if (this.#isPresent(key, origin)) return 'valid';
    const words = former.filter(other => isSame(other.key, key));
    return standingOf(head, sealed, words);
  }

  #isPresent(key: Uint8Array, origin: HostId): boolean {
    const present = this.#roster.keyOf(origin);
    return present !== undefined && isSame(key, present);
  }

  /** True when the head is later than the last valid one of the key that signed it, or another one of that number. */
  isVoided(signed: SignedHead): boolean {
    return this.#standing(signed) === 'void';
  }

  /**
   * True when this head may be in force in the place of a void one with a higher number: it is the last one that is
   * valid of a former key, or signed with the origin's present key.
   */
  endsVoid(signed: SignedHead): boolean {
    const standing = this.#standing(signed);
    if (standing !== 'valid') return standing === 'last';
    const { source } = signed.head;
    const key = this.#signerOf(signed.sealed, source);
    return key !== undefined && this.#isPresent(key, splitSourceId(source).origin);
  }

  /** @throws ClusterError HEAD_OF_REVOKED (peer) */
  refuseVoid(signed: SignedHead): void {
    if (!this.isVoided(signed)) return;
    const { source, seq } = signed.head;
    const { origin } = splitSourceId(source);
    const name = this.#roster.nameOf(origin);
    const last = this.#revocations.lastHead(source);
    const valid = last === undefined ? 'none of its heads is' : `head ${last.seq} is the last one that is`;
    const why =
      this.#roster.keyOf(origin) === undefined
        ? `${name} was revoked`
        : `another machine goes on as ${name}, and the key that signed it is shut out`;
    throw new ClusterError(
      'HEAD_OF_REVOKED',
      `head ${seq} of ${source} is not valid, because ${why}: ${valid}; what is held stays`,
      { blame: 'peer' },
    );
  }

  #signerOf(sealed: Uint8Array, source: SourceId): Uint8Array | undefined {
    const known = this.#keys.get(sealed);
    if (known !== undefined) return known;
    const key = this.keysOf(source).find(one => hasSigned(one, sealed));
    if (key !== undefined) this.#keys.set(sealed, key);
    return key;
  }
}

/** The best that any of these words, all with one key, make of a head. */
function standingOf(
  { source, seq }: SignedHead['head'],
  sealed: Uint8Array,
  words: readonly FormerWords[],
): HeadStanding {
  let best: HeadStanding = 'void';
  for (const { lastHeads } of words) {
    const last = lastHeads.get(source);
    if (last === undefined) continue;
    if (seq === last.seq && headHash(sealed) === last.hash) return 'last';
    if (seq < last.seq) best = 'valid';
  }
  return best;
}

function hasSigned(key: Uint8Array, sealed: Uint8Array): boolean {
  try {
    verifyHead(sealed, key);
    return true;
  } catch (error) {
    if (error instanceof BadSignature) return false;
    throw error;
  }
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;
