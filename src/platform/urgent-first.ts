/**
 * Urgent first: a queue for what must wait, of two rows: what a person waits for, and all else.
 *
 * The urgent row goes first, but takes turns with the other one while both wait: so however much is called urgent, it
 * gets half of what there is to get, and nobody is kept waiting for good.
 */

export interface Urgency {
  /** A person waits for it. Default: false. */
  readonly isUrgent?: boolean;
}

export class UrgentFirst<Item> {
  readonly #others: Item[] = [];
  /** Its items may also be taken out of turn. */
  readonly urgent: Item[] = [];
  #lastWasUrgent = false;

  push(item: Item, { isUrgent = false }: Urgency): void {
    (isUrgent ? this.urgent : this.#others).push(item);
  }

  /** The row whose turn it is, for its first items to be taken out. Undefined when nothing waits. */
  next(): Item[] | undefined {
    const isUrgent = this.urgent.length > 0 && !(this.#lastWasUrgent && this.#others.length > 0);
    this.#lastWasUrgent = isUrgent;
    const row = isUrgent ? this.urgent : this.#others;
    return row.length > 0 ? row : undefined;
  }

  /** Takes everything out. */
  clear(): Item[] {
    return [...this.urgent.splice(0), ...this.#others.splice(0)];
  }
}
