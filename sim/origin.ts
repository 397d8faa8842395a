/**
 * Origin: signs the heads of a host's own sources as the daemon does. After a start it asks all hosts for the highest
 * head they remember and continues above that, because its disk may be an old image; and a head that it signs is
 * durable before it is announced.
 */
import type { ParcelId, SourceId } from '../src/core/ids.js';
import { type Adoption, decideAdoption, listAgain, nextSeq } from '../src/core/own-heads.js';
import type { HeadModel, SnapshotModel } from './catalog-model.js';
import type { HeadKeeping } from './head-keeping.js';
import type { Running, SnapshotEdit } from './sim-host.js';
import type { StateWrites } from './state-writes.js';
import type { Surroundings } from './surroundings.js';

/** Asking all hosts takes this long at most, in ms. */
const ASK_MS = 3_000;
/** How soon a snapshot that could not be written is tried again, in ms. */
const RETRY_MS = 5 * 60_000;

export interface OriginOptions {
  readonly of: Running;
  readonly world: Surroundings;
  readonly state: StateWrites;
  readonly heads: HeadKeeping;
  readonly askEverybody: () => void;
}

export class Origin {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #state: StateWrites;
  readonly #heads: HeadKeeping;
  readonly #askEverybody: () => void;
  /** When all hosts will have said what they remember; undefined until they are asked. */
  #knownMs: number | undefined;
  /** Changes of one source run one after another: the first of each list is running. */
  readonly #changes = new Map<SourceId, (() => void)[]>();

  constructor({ of, world, state, heads, askEverybody }: OriginOptions) {
    this.#of = of;
    this.#world = world;
    this.#state = state;
    this.#heads = heads;
    this.#askEverybody = askEverybody;
  }

  backUp(source: SourceId, edit: SnapshotEdit): void {
    this.#knowAll(() => this.#publish(source, edit, () => this.#later(RETRY_MS, () => this.backUp(source, edit))));
  }

  /**
   * The content that the source's live files have for the parcel. They are the files of the newest snapshot; earlier
   * ones are gone.
   */
  liveFile(parcel: ParcelId): { readonly content: string; readonly bytes: number } | undefined {
    const model = this.#world.catalog.parcel(parcel);
    if (model?.origin !== this.#of.host.id) return undefined;
    const isLive = this.#heads.get(model.source)?.snapshots.at(-1)?.refs.has(parcel) === true;
    return isLive ? { content: parcel, bytes: model.ref.bytes } : undefined;
  }

  /** Takes a head of our own source that another host remembers. */
  hear(head: HeadModel): void {
    const { source } = head;
    this.#adopt(head, adoption => {
      // Also if it was adopted before, but could not be put in force then.
      const own = this.#own(source);
      if (own !== undefined && this.#heads.get(source)?.hash !== own.hash) this.#heads.offer(own);
      this.#listAgain(source, adoption);
    });
  }

  #own(source: SourceId): HeadModel | undefined {
    return this.#of.host.disk.history.get(source);
  }

  #knowAll(then: () => void): void {
    if (this.#knownMs === undefined) {
      this.#askEverybody();
      this.#knownMs = this.#world.nowMs + ASK_MS;
    }
    if (this.#world.nowMs >= this.#knownMs) then();
    else this.#later(this.#knownMs - this.#world.nowMs, then);
  }

  #later(delayMs: number, then: () => void): void {
    this.#world.after(delayMs, () => this.#of.enter(then));
  }

  /** @param refused called when the disk does not take the head, or one that must be adopted first */
  #publish(source: SourceId, edit: SnapshotEdit, refused: () => void = nothing): void {
    const relist = (): void =>
      this.#change(source, done => {
        const sign = (): void => {
          this.#keep(this.#signed(source, edit(this.#own(source)?.snapshots ?? [])));
          done();
        };
        this.#state.write(sign, () => {
          done();
          refused();
        });
      });
    const known = this.#heads.get(source);
    if (known === undefined || known.hash === this.#own(source)?.hash) {
      relist();
      return;
    }
    // Our own history may be older than the head in the catalog beside it.
    const adopted = (adoption: Adoption<SnapshotModel>): void => {
      this.#listAgain(source, adoption);
      relist();
    };
    this.#adopt(known, adopted, refused);
  }

  /** `then` is called once the adoption is durable. */
  #adopt(head: HeadModel, then: (adoption: Adoption<SnapshotModel>) => void, refused: () => void = nothing): void {
    const { source } = head;
    this.#change(source, done => {
      const adoption = decideAdoption(this.#own(source), head);
      if (adoption.kind === 'known' || adoption.kind === 'older') {
        done();
        then(adoption);
        return;
      }
      const adopt = (): void => {
        this.#keep(adoption.kind === 'forked' ? this.#signed(source, adoption.union) : head);
        done();
        then(adoption);
      };
      this.#state.write(adopt, () => {
        done();
        refused();
      });
    });
  }

  #listAgain(source: SourceId, adoption: Adoption<SnapshotModel>): void {
    if (adoption.kind !== 'adopted' || adoption.unlisted.length === 0) return;
    this.#publish(source, listed => listAgain(listed, adoption.unlisted));
  }

  #signed(source: SourceId, snapshots: readonly SnapshotModel[]): HeadModel {
    return this.#world.catalog.head(source, nextSeq(this.#own(source)), snapshots);
  }

  #keep(head: HeadModel): void {
    this.#of.host.disk.history.set(head.source, head);
    this.#heads.offer(head);
  }

  #change(source: SourceId, change: (done: () => void) => void): void {
    const changes = this.#changes.get(source) ?? [];
    this.#changes.set(source, changes);
    const run = (): void =>
      change(() => {
        changes.shift();
        changes[0]?.();
      });
    changes.push(run);
    if (changes[0] === run) run();
  }
}

const nothing = (): undefined => undefined;
