/**
 * Head forks: sources with two heads of one number, until the origin's answer is in force: a later head that lists
 * what both list. Until then an alarm tells a person.
 */
import type { Head } from '../catalog/head.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { Alarms } from './alarms.js';
import { fullNameOf, type Roster } from './roster.js';

export class HeadForks {
  readonly #alarms: Alarms;
  readonly #roster: Pick<Roster, 'nameOf'>;
  /** Each with everything that the heads of that number list. */
  readonly #forks = new Map<SourceId, { readonly seq: number; readonly listed: ReadonlySet<ObjectId> }>();

  constructor({ alarms, roster }: { readonly alarms: Alarms; readonly roster: Pick<Roster, 'nameOf'> }) {
    this.#alarms = alarms;
    this.#roster = roster;
  }

  /** Both are of one source and number. */
  note(one: Head, other: Head): void {
    const { source, seq } = one;
    const both = [...one.snapshots, ...other.snapshots].map(({ id }) => id);
    this.#forks.set(source, { seq, listed: new Set([...(this.#forks.get(source)?.listed ?? []), ...both]) });
    this.#alarms.raise(
      'HEAD_FORKED',
      source,
      `source ${fullNameOf(source, this.#roster)} has two heads with number ${seq}: was its origin restored from an old image?`,
    );
  }

  isAnswer({ source, seq, snapshots }: Head): boolean {
    const fork = this.#forks.get(source);
    const listed = new Set(snapshots.map(({ id }) => id));
    return fork !== undefined && seq > fork.seq && [...fork.listed].every(id => listed.has(id));
  }

  end(source: SourceId): void {
    if (this.#forks.delete(source)) this.#alarms.clear('HEAD_FORKED', source);
  }
}
