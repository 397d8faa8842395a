/**
 * Head signers: by whose key the heads and snapshots of a source are signed: its origin's, also of one that was revoked, as far as its
 * revocation lets its word stand.
 */
import type { Head } from '../catalog/head.js';
import { ClusterError } from '../core/fault.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import type { Revocations } from './revocations.js';
import type { Roster } from './roster.js';

export class HeadSigners {
  readonly #roster: Roster;
  readonly #revocations: Revocations;

  constructor({ roster, revocations }: { readonly roster: Roster; readonly revocations: Revocations }) {
    this.#roster = roster;
    this.#revocations = revocations;
  }

  /** Undefined for a source of nobody who is, or was, a member. */
  keyOf(source: SourceId): Uint8Array | undefined {
    const { origin } = splitSourceId(source);
    return this.#roster.keyOf(origin) ?? this.#revocations.keyOf(origin);
  }

  /** @throws ClusterError HEAD_OF_STRANGER (peer) */
  needKey(source: SourceId): Uint8Array {
    const key = this.keyOf(source);
    if (key === undefined)
      throw new ClusterError('HEAD_OF_STRANGER', `${source} is of no member, and of none that was one`, {
        blame: 'peer',
      });
    return key;
  }

  /**
   * Its origin is revoked, and this is the last head of the source that stays valid: no other one of its number goes before it.
   * @throws ClusterError HEAD_OF_REVOKED (peer) for a later one, or another one of its number
   */
  isLastOfRevoked({ source, seq }: Pick<Head, 'source' | 'seq'>, hash: string): boolean {
    const { origin } = splitSourceId(source);
    if (!this.#isOfRevoked(source)) return false;
    const last = this.#revocations.lastHead(source);
    if (last?.hash === hash) return true;
    if (!this.isVoided({ source, seq }, hash)) return false;
    const valid = last === undefined ? 'none of its heads is' : `head ${last.seq} is the last one that is`;
    throw new ClusterError(
      'HEAD_OF_REVOKED',
      `head ${seq} of ${source} is not valid, for ${this.#roster.nameOf(origin)} was revoked: ${valid}; what is held stays`,
      { blame: 'peer' },
    );
  }

  /** Its origin is revoked, and this head is later than the last one that stays valid, or another one of its number. */
  isVoided({ source, seq }: Pick<Head, 'source' | 'seq'>, hash: string): boolean {
    if (!this.#isOfRevoked(source)) return false;
    const last = this.#revocations.lastHead(source);
    return last === undefined || seq > last.seq || (seq === last.seq && hash !== last.hash);
  }

  #isOfRevoked(source: SourceId): boolean {
    const { origin } = splitSourceId(source);
    return this.#revocations.keyOf(origin) !== undefined && this.#roster.keyOf(origin) === undefined;
  }
}
