/**
 * Voided snapshots: what only heads have listed that count no more, because an admin has shut out the key which signed them,
 * without having heard of them. Nobody can tell whether the old machine signed them or whoever has its key now. So no head
 * lists them again; but they stay in their hold here, and a person is told, until none of them is held any longer.
 *
 * Driven by the catalog keeper.
 */
import type { Logger } from 'pino';
import type { Head } from '../catalog/head.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { Alarms } from './alarms.js';
import { fullNameOf, type Roster } from './roster.js';

/** How many snapshots the alarm names. */
const TOLD_MAX = 3;

export class VoidedSnapshots {
  readonly #roster: Pick<Roster, 'nameOf'>;
  readonly #alarms: Alarms;
  readonly #log: Logger;
  readonly #bySource = new Map<SourceId, readonly ObjectId[]>();

  constructor({
    roster,
    alarms,
    log,
  }: {
    readonly roster: Pick<Roster, 'nameOf'>;
    readonly alarms: Alarms;
    readonly log: Logger;
  }) {
    this.#roster = roster;
    this.#alarms = alarms;
    this.#log = log;
  }

  /** Another head has taken the place of this void one; `held`: what is held beside what it lists. */
  note({ source, seq, snapshots }: Pick<Head, 'source' | 'seq' | 'snapshots'>, held: readonly ObjectId[]): void {
    const isHeld = new Set(held);
    const voided = snapshots.map(({ id }) => id).filter(id => isHeld.has(id));
    if (voided.length === 0) return;
    this.#log.warn(
      { code: 'SNAPSHOTS_UNLISTED', source, seq, snapshots: voided },
      'the head that listed these snapshots counts no more, because the key that signed it was shut out: they are kept until their hold ends',
    );
    this.#bySource.set(source, [...(this.#bySource.get(source) ?? []), ...voided]);
    this.follow(source, held);
  }

  /** Something of the source has changed; `held`: what is held now. */
  follow(source: SourceId, held: readonly ObjectId[]): void {
    const noted = new Set(this.#bySource.get(source));
    if (noted.size === 0) return;
    const left = held.filter(id => noted.has(id));
    if (left.length === 0) {
      this.#bySource.delete(source);
      this.#alarms.clear('HEAD_VOIDED', source);
      return;
    }
    this.#bySource.set(source, left);
    const ids = left.slice(-TOLD_MAX).map(id => id.slice(0, 8));
    const name = fullNameOf(source, this.#roster);
    this.#alarms.raise(
      'HEAD_VOIDED',
      source,
      `this host knows snapshots of ${name} that no valid list has: ${left.length} (${[...ids, ...(left.length > ids.length ? ['…'] : [])].join(', ')}). They were signed with a key that was shut out by an admin who had not heard of them, so whoever has that key may have made them. They are held for a while: 'cluster restore ${name}@${ids.at(-1)} --target DIR' on this host gets one`,
    );
  }
}
