/**
 * Voice: collects what this host has to announce: claims and withdrawals until the end of a step, operations of our
 * logs a little longer while more are about to come, so that many fit in one message.
 */
import type { LogOp, LogSegment } from './holdings-log.js';
import type { ParcelId, StoreId } from './ids.js';
import { CLAIMS_PER_MESSAGE_MAX, type GossipMessage } from './messages.js';

/** Own operations are gossiped at most this often, in ms; a full message goes at once. */
const DELTA_EVERY_MS = 500;
/** Operations in one gossiped delta: some 40 bytes each, well under a frame. */
const DELTA_OPS_MAX = 1_000;

export class Voice {
  readonly #claims = new Map<StoreId, Map<ParcelId, number>>();
  readonly #withdrawn = new Map<StoreId, Set<ParcelId>>();
  readonly #ops = new Map<StoreId, { readonly ops: LogOp[]; end: LogSegment }>();
  #opsDueMs = Number.POSITIVE_INFINITY;
  /** When operations were last announced. */
  #opsSaidMs = Number.NEGATIVE_INFINITY;

  /** When the waiting operations are to be announced. */
  get dueMs(): number {
    return this.#opsDueMs;
  }

  claim(store: StoreId, parcel: ParcelId, ttlMs: number): void {
    const claims = this.#claims.get(store) ?? new Map<ParcelId, number>();
    claims.set(parcel, ttlMs);
    this.#claims.set(store, claims);
    // Others take withdrawals after claims, whichever store they name.
    for (const withdrawn of this.#withdrawn.values()) withdrawn.delete(parcel);
  }

  withdraw(store: StoreId, parcel: ParcelId): void {
    const withdrawn = this.#withdrawn.get(store) ?? new Set<ParcelId>();
    withdrawn.add(parcel);
    this.#withdrawn.set(store, withdrawn);
    this.#claims.get(store)?.delete(parcel);
  }

  /** Announces the operations `ops` of our own log; `segment` ends with them. */
  tell(
    segment: LogSegment,
    ops: readonly LogOp[],
    { nowMs, heartbeatMs }: { readonly nowMs: number; readonly heartbeatMs: number },
  ): void {
    const waiting = this.#ops.get(segment.end.store);
    if (waiting === undefined) this.#ops.set(segment.end.store, { ops: [...ops], end: segment });
    else {
      for (const op of ops) waiting.ops.push(op);
      waiting.end = segment;
    }
    this.#opsDueMs = Math.min(this.#opsDueMs, nowMs + Math.min(DELTA_EVERY_MS, heartbeatMs));
  }

  /** No more operations are about to come: those that wait are announced now, if none were just before. */
  hurry(nowMs: number): void {
    if (this.#ops.size === 0) return;
    this.#opsDueMs = Math.min(this.#opsDueMs, Math.max(nowMs, this.#opsSaidMs + DELTA_EVERY_MS));
  }

  /** The messages for the end of a step. `all`: send waiting operations too (a heartbeat goes out). */
  speak({ nowMs, all }: { readonly nowMs: number; readonly all: boolean }): GossipMessage[] {
    const messages = this.#sayClaims();
    if (this.#ops.size === 0) return messages;
    const full = [...this.#ops.values()].some(({ ops }) => ops.length >= DELTA_OPS_MAX);
    if (all || full || nowMs >= this.#opsDueMs) messages.push(...this.#sayOps(nowMs));
    return messages;
  }

  #sayClaims(): GossipMessage[] {
    if (this.#claims.size === 0 && this.#withdrawn.size === 0) return [];
    const messages: GossipMessage[] = [];
    for (const store of new Set([...this.#claims.keys(), ...this.#withdrawn.keys()])) {
      const claims = [...(this.#claims.get(store) ?? [])].map(([parcel, ttlMs]) => ({ parcel, ttlMs }));
      const withdrawn = [...(this.#withdrawn.get(store) ?? [])];
      for (let at = 0; at < Math.max(claims.length, withdrawn.length); at += CLAIMS_PER_MESSAGE_MAX) {
        const end = at + CLAIMS_PER_MESSAGE_MAX;
        messages.push({ kind: 'claims', store, claims: claims.slice(at, end), withdrawn: withdrawn.slice(at, end) });
      }
    }
    this.#claims.clear();
    this.#withdrawn.clear();
    return messages;
  }

  #sayOps(nowMs: number): GossipMessage[] {
    this.#opsSaidMs = nowMs;
    this.#opsDueMs = Number.POSITIVE_INFINITY;
    // More than fits one message is rare; a reader that then has a gap asks for the log itself.
    const messages = [...this.#ops.values()].map(
      ({ ops, end }): GossipMessage => ({ kind: 'log', segment: { ...end, ops: ops.slice(-DELTA_OPS_MAX) } }),
    );
    this.#ops.clear();
    return messages;
  }
}
