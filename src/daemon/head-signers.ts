/**
 * Head signers: whose key signs the heads and snapshots of a source: its origin's, also that of a revoked origin, as
 * far as the revocation lets its heads stand.
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

  /** Undefined for a source whose host is not, and never was, a member. */
  keyOf(source: SourceId): Uint8Array | undefined {
    const { origin } = splitSourceId(source);
    return this.#roster.keyOf(origin) ?? this.#revocations.keyOf(origin);
  }

  /** @throws ClusterError HEAD_OF_STRANGER (peer) */
  needKey(source: SourceId): Uint8Array {
    const key = this.keyOf(source);
    if (key === undefined)
      throw new ClusterError('HEAD_OF_STRANGER', `${source} belongs to no present or former member`, {
        blame: 'peer',
      });
    return key;
  }

  /**
   * True when its origin is revoked and this is the last head that stays valid: no other head of its number replaces
   * it.
   * @throws ClusterError HEAD_OF_REVOKED (peer) for a later head, or another one of its number
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
      `head ${seq} of ${source} is not valid, because ${this.#roster.nameOf(origin)} was revoked: ${valid}; what is held stays`,
      { blame: 'peer' },
    );
  }

  /** True when its origin is revoked and this head is later than the last valid one, or another one of that number. */
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
