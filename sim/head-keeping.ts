/**
 * Head keeping: the newest heads that a host knows, in force and durable, and the snapshots that it keeps wanted
 * although no head lists them any more.
 *
 * A head is made durable before the machine hears of it.
 */
import { decideHold } from '../src/core/hold.js';
import type { SourceId } from '../src/core/ids.js';
import { replacesHead } from '../src/core/own-heads.js';
import type { HeadModel, WantedSnapshots } from './catalog-model.js';
import type { KeptSnapshot } from './host-disk.js';
import type { Running } from './sim-host.js';
import type { StateWrites } from './state-writes.js';
import type { Surroundings } from './surroundings.js';

const NOTHING: WantedSnapshots = { all: [], listed: [] };

/** No admin releases snapshots here: a hold ends only by running time. */
const NONE_RELEASED = (): boolean => false;

export class HeadKeeping {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #state: StateWrites;
  readonly #writing = new Map<SourceId, HeadModel>();
  readonly #inForce = new Map<SourceId, WantedSnapshots>();

  constructor({
    of,
    world,
    state,
  }: {
    readonly of: Running;
    readonly world: Surroundings;
    readonly state: StateWrites;
  }) {
    this.#of = of;
    this.#world = world;
    this.#state = state;
  }

  get(source: SourceId): HeadModel | undefined {
    return this.#of.host.disk.heads.get(source);
  }

  heads(): readonly HeadModel[] {
    return [...this.#of.host.disk.heads.values()];
  }

  /** Restores what was in force before the start. */
  open(): void {
    if (this.#world.mutant?.name === 'forgets-newest-head') this.#forgetNewest();
    for (const head of this.heads()) this.#enforce(head);
  }

  /** A head from a peer, or our own. */
  offer(head: HeadModel): void {
    const { source } = head;
    if (this.#of.machine.known.copiesWanted(source) === undefined) return;
    const best = this.#writing.get(source) ?? this.get(source);
    if (best !== undefined && !replacesHead(head, best)) return;
    const isWriting = this.#writing.has(source);
    this.#writing.set(source, head);
    if (!isWriting) this.#write(source);
  }

  /** Releases snapshots whose hold has run out. */
  letGo(): void {
    for (const [source, kept] of this.#of.host.disk.kept) {
      const head = this.get(source);
      if (head === undefined) continue;
      const { release } = decideHold({
        runMs: this.#of.runMs,
        listed: idsOf(head),
        seen: kept,
        isReleased: NONE_RELEASED,
      });
      // If the release cannot be written, nothing is released.
      if (release.length > 0 && !this.#state.refuses()) this.#enforce(head);
    }
  }

  #write(source: SourceId): void {
    const head = this.#writing.get(source);
    if (head === undefined) return;
    const isOvertaken = (): boolean => {
      const newest = this.#writing.get(source);
      if (newest === undefined || newest === head) return !this.#writing.delete(source);
      this.#write(source);
      return true;
    };
    this.#state.write(() => {
      if (isOvertaken()) return;
      this.#of.host.disk.heads.set(source, head);
      this.#enforce(head);
      // The head is not in force, and comes again from any host that has it.
    }, isOvertaken);
  }

  #enforce(head: HeadModel): void {
    const { disk } = this.#of.host;
    const { source, seq, hash, snapshots } = head;
    const seen = new Map((disk.kept.get(source) ?? []).map(kept => [kept.id, kept]));
    for (const snapshot of snapshots) {
      if (seen.has(snapshot.id)) continue;
      seen.set(snapshot.id, { id: snapshot.id, holdMs: snapshot.holdMs, seenRunMs: this.#of.runMs, snapshot });
    }
    const listed = idsOf(head);
    const { held } = decideHold({ runMs: this.#of.runMs, listed, seen: [...seen.values()], isReleased: NONE_RELEASED });
    const kept = [...seen.values()].filter(({ id }) => listed.has(id) || held.some(other => other.id === id));
    disk.kept.set(source, kept);
    const after: WantedSnapshots = { all: inOrder(head, kept), listed: snapshots };
    const change = this.#world.catalog.change(this.#inForce.get(source) ?? NOTHING, after);
    this.#inForce.set(source, after);
    this.#of.tell({ is: 'wanted', source, head: { source, seq, hash }, ...change });
  }

  /** The mutant: each source's head is put back to the one before. */
  #forgetNewest(): void {
    const { heads } = this.#of.host.disk;
    for (const [source, head] of [...heads]) {
      const before = this.#world.catalog.headBefore(head);
      if (before === undefined) heads.delete(source);
      else heads.set(source, before);
    }
  }
}

const idsOf = ({ snapshots }: HeadModel): Set<KeptSnapshot['id']> => new Set(snapshots.map(({ id }) => id));

function inOrder(head: HeadModel, kept: readonly KeptSnapshot[]): HeadModel['snapshots'] {
  const listed = idsOf(head);
  return [...kept.filter(({ id }) => !listed.has(id)).map(({ snapshot }) => snapshot), ...head.snapshots];
}
