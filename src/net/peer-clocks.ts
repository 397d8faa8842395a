/**
 * Peer clocks: how far this host's wall clock is off the others', by their heartbeats.
 *
 * A heartbeat may have been on its way for seconds, which is good enough to see a clock that is hours or years wrong.
 * Each is noted against this host's steady time, so that a jump of this host's own clock shows at once. A host's word
 * on its clock is a hint: of several the median counts, and nothing but caution follows from it.
 */
import type { PeerName } from '../core/ids.js';

/** After this long without a heartbeat a clock no longer counts, in ms. */
const HEARD_MS = 3_600_000;

interface Heard {
  /** The peer's wall clock minus this host's steady time. */
  readonly offsetMs: number;
  readonly atMs: number;
}

export class PeerClocks {
  readonly #heard = new Map<PeerName, Heard>();

  /** @param wallMs the peer's wall clock; @param steadyMs this host's steady time, as in `aheadMs` */
  hear(peer: PeerName, wallMs: number, steadyMs: number): void {
    this.#heard.set(peer, { offsetMs: wallMs - steadyMs, atMs: steadyMs });
  }

  /** How far this host's wall clock is ahead of the median of the others', in ms; undefined while none is known. */
  aheadMs(wallMs: number, steadyMs: number): number | undefined {
    for (const [peer, { atMs }] of this.#heard) if (steadyMs - atMs > HEARD_MS) this.#heard.delete(peer);
    const offsets = [...this.#heard.values()].map(({ offsetMs }) => offsetMs).sort((a, b) => a - b);
    const [low, high] = [offsets[(offsets.length - 1) >> 1], offsets[offsets.length >> 1]];
    return low === undefined || high === undefined ? undefined : wallMs - steadyMs - (low + high) / 2;
  }
}
