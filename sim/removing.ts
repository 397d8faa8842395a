/**
 * Removing: carries out the machine's effects for drops, grants and expiry: reads copies for proofs of possession,
 * carries questions and answers, writes `del`, and then moves the bytes to the trash.
 */
import type { AuditAnswer } from '../src/core/audit.js';
import type { Effect, ReadFailure } from '../src/core/effects.js';
import type { GrantAnswer } from '../src/core/grant.js';
import type { HostId, Nonce, ParcelId, Possession } from '../src/core/ids.js';
import { possessionHasher } from '../src/core/possession.js';
import { between, logBetween, oneIn } from './draw.js';
import type { Origin } from './origin.js';
import type { OwnStores } from './own-stores.js';
import type { AuditQuestion, CarriedGrant, GrantQuestion } from './questions.js';
import type { Running } from './sim-host.js';
import type { StoreDisk } from './store-disk.js';
import type { Surroundings } from './surroundings.js';

type Effects<Do extends Effect['do']> = Extract<Effect, { do: Do }>;

/** At most this many of the grants that came to a host may come again. */
const GRANTS_CARRIED_MAX = 24;
/** A question that the network duplicates comes again after this long, in ms. */
const AGAIN_MS = { least: 10, most: 600_000 };

export class Removing {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #stores: OwnStores;
  readonly #origin: Origin;
  readonly #replies = new Map<number, (answer: GrantAnswer) => void>();
  /** The mutant's memory: the grants once given for a parcel, in attempts that are over. */
  readonly #grantsBefore = new Map<ParcelId, Map<HostId, GrantAnswer>>();
  readonly #parcelOf = new Map<Nonce, ParcelId>();
  #nextAsk = 1;

  constructor({
    of,
    world,
    stores,
    origin,
  }: {
    readonly of: Running;
    readonly world: Surroundings;
    readonly stores: OwnStores;
    readonly origin: Origin;
  }) {
    this.#of = of;
    this.#world = world;
    this.#stores = stores;
    this.#origin = origin;
  }

  // ---------------------------------------------------------------------------------------------------- our own attempts

  proveOwn({ attempt, parcel, store: id, holders }: Effects<'prove-own'>): void {
    const fail = (because: ReadFailure): void => this.#of.tell({ is: 'own-not-proved', attempt, because });
    this.#parcelOf.set(attempt, parcel);
    this.#read(id, parcel, (file, store) => {
      if (this.#of.dies('prove-own', 'done')) return;
      if (file === undefined || store === undefined) return fail('unreadable');
      if (file !== parcel) {
        this.#stores.foundCorrupt(store, parcel, fail);
        return;
      }
      const expected = new Map(
        holders.map(holder => [holder, possessionOf({ nonce: attempt, holder, content: file })]),
      );
      if (this.#world.mutant?.name === 'grants-survive-abort') {
        for (const [holder, answer] of this.#grantsBefore.get(parcel) ?? [])
          if (answer.answer === 'grant') expected.set(holder, answer.possession);
      }
      this.#of.tell({ is: 'own-proved', attempt, expected });
    });
  }

  askGrants({ attempt, parcel, holders, config }: Effects<'ask-grants'>): void {
    const chance = this.#world.chance.of(`drop/${this.#of.host.number}`);
    const question: GrantQuestion = { from: this.#of.host.id, nonce: attempt, parcel, config };
    for (const holder of holders) {
      const ask = (): void =>
        this.#world.network.ask<GrantAnswer>({
          from: this.#of,
          to: holder,
          ask: (asked, reply) => asked.answerGrant(question, reply),
          answered: answer => {
            if (this.#of.dies('ask-grants', 'done')) return;
            if (answer?.answer === 'grant') this.#recordGrant({ attempt, from: holder, answer });
            this.answered(attempt, holder, answer);
          },
          late: answer => this.#tellWhoRuns(attempt, holder, answer),
        });
      ask();
      if (oneIn(chance, 20))
        this.#world.after(logBetween(chance, AGAIN_MS.least, AGAIN_MS.most), () => this.#of.enter(ask));
    }
    // The network repeats earlier answers just when they are listened for.
    if (oneIn(chance, 3)) {
      for (const { attempt: before, from, answer } of this.#of.host.grantsCarried)
        this.#world.after(between(chance, 1, 500), () => this.#tellWhoRuns(before, from, answer));
    }
    if (this.#world.mutant?.name === 'grants-survive-abort') this.#answerFromMemory(attempt, parcel);
  }

  #recordGrant(carried: CarriedGrant): void {
    const { grantsCarried } = this.#of.host;
    grantsCarried.push(carried);
    if (grantsCarried.length > GRANTS_CARRIED_MAX) grantsCarried.shift();
  }

  /** A late or repeated answer goes to the service that runs there now, whether that has asked or not. */
  #tellWhoRuns(attempt: Nonce, from: HostId, answer: GrantAnswer): void {
    const { running } = this.#of.host;
    running?.enter(() => running.grantAnswered(attempt, from, answer));
  }

  answered(attempt: Nonce, from: HostId, answer: GrantAnswer | undefined): void {
    const parcel = this.#parcelOf.get(attempt);
    if (this.#world.mutant?.name === 'grants-survive-abort' && answer?.answer === 'grant' && parcel !== undefined) {
      const grants = this.#grantsBefore.get(parcel) ?? new Map<HostId, GrantAnswer>();
      if (!grants.has(from)) grants.set(from, answer);
      this.#grantsBefore.set(parcel, grants);
    }
    this.#of.tell({ is: 'grant-answered', attempt, from, answer });
  }

  #answerFromMemory(attempt: Nonce, parcel: ParcelId): void {
    for (const [from, answer] of this.#grantsBefore.get(parcel) ?? [])
      this.#world.after(0, () => this.#of.enter(() => this.#of.tell({ is: 'grant-answered', attempt, from, answer })));
  }

  // -------------------------------------------------------------------------------------------------------------- audits

  askAudit({ audit, parcel, store, holder }: Effects<'ask-audit'>): void {
    this.#world.network.ask<AuditAnswer>({
      from: this.#of,
      to: holder,
      ask: (asked, reply) => asked.answerAudit({ nonce: audit, parcel }, reply),
      answered: answer => {
        if (this.#of.dies('ask-audit', 'done')) return;
        if (answer?.answer !== 'proof') {
          this.#of.tell({ is: 'audited', audit, expected: undefined, answer });
          return;
        }
        const compare = (file: string | undefined): void => {
          const expected = file === parcel ? possessionOf({ nonce: audit, holder, content: file }) : undefined;
          this.#of.tell({ is: 'audited', audit, expected, answer });
        };
        if (store === undefined) compare(this.#origin.liveFile(parcel)?.content);
        else this.#read(store, parcel, compare);
      },
    });
  }

  answerAudit({ nonce, parcel }: AuditQuestion, reply: (answer: AuditAnswer) => void): void {
    const id = this.#of.machine.known.storeOf(parcel);
    if (id === undefined) reply({ answer: 'deny', because: 'absent' });
    else this.#read(id, parcel, (file, store) => this.#audited({ nonce, parcel }, { file, store, reply }));
  }

  #audited(
    { nonce, parcel }: AuditQuestion,
    {
      file,
      store,
      reply,
    }: {
      readonly file: string | undefined;
      readonly store: StoreDisk | undefined;
      readonly reply: (answer: AuditAnswer) => void;
    },
  ): void {
    const { id: holder, lies } = this.#of.host;
    if (file === undefined || store === undefined) reply({ answer: 'deny', because: 'busy' });
    else if (file === parcel || lies?.audits === true)
      reply({ answer: 'proof', possession: possessionOf({ nonce, holder, content: file }) });
    else
      this.#stores.foundCorrupt(store, parcel, because =>
        reply({ answer: 'deny', because: because === 'corrupt' ? 'corrupt' : 'busy' }),
      );
  }

  // --------------------------------------------------------------------------------------------------------------- drops

  drop({ proof: { parcel, store: id, nonce } }: Effects<'drop'>): void {
    const store = this.#stores.mounted(id);
    if (store === undefined) {
      this.#of.tell({ is: 'not-dropped', attempt: nonce });
      return;
    }
    if (this.#world.mutant?.name === 'deletion-outlives-restart')
      this.#of.host.disk.queuedDeletions.push({ store: id, parcel });
    const isTaken = this.#stores.append(store, { op: 'del', parcel }, () => {
      this.#toTrash(store, parcel);
      if (this.#of.dies('drop', 'done')) return;
      this.#stores.tellOps(store, segment =>
        this.#of.tell({ is: 'dropped', attempt: nonce, segment, usedBytes: store.usedBytes }),
      );
    });
    if (isTaken) return;
    this.#stores.reopen(store);
    this.#of.tell({ is: 'not-dropped', attempt: nonce });
  }

  expire({ warrant: { parcel, store: id } }: Effects<'expire'>): void {
    const store = this.#stores.mounted(id);
    if (store === undefined) {
      this.#of.tell({ is: 'not-expired', parcel });
      return;
    }
    const isTaken = this.#stores.append(store, { op: 'del', parcel }, () => {
      this.#toTrash(store, parcel);
      if (this.#of.dies('expire', 'done')) return;
      this.#stores.tellOps(store, segment =>
        this.#of.tell({ is: 'expired', parcel, segment, usedBytes: store.usedBytes }),
      );
    });
    if (isTaken) return;
    this.#stores.reopen(store);
    this.#of.tell({ is: 'not-expired', parcel });
  }

  /** The mutant: deletions that a drop had queued before the restart are carried out now. */
  carryOutQueuedDeletions(): void {
    for (const { store: id, parcel } of this.#of.host.disk.queuedDeletions.splice(0)) {
      this.#world.after(between(this.#world.chance.of('mutant'), 1_000, 120_000), () =>
        this.#of.enter(() => {
          const store = this.#stores.mounted(id);
          if (store?.present.has(parcel) !== true) return;
          this.#stores.append(store, { op: 'del', parcel }, () => {
            this.#toTrash(store, parcel);
            this.#stores.tellOps(store, segment =>
              this.#of.tell({ is: 'own-ops', segment, usedBytes: store.usedBytes }),
            );
          });
        }),
      );
    }
  }

  identify({ parcel }: Effects<'identify'>): void {
    const chance = this.#world.chance.of(`disk/${this.#of.host.number}`);
    // Sometimes nobody can supply the record.
    const source = oneIn(chance, 4) ? undefined : this.#world.catalog.parcel(parcel)?.source;
    this.#world.after(between(chance, 5, 500), () =>
      this.#of.enter(() => {
        if (!this.#of.dies('identify', 'done')) this.#of.tell({ is: 'identified', parcel, source });
      }),
    );
  }

  #toTrash(store: StoreDisk, parcel: ParcelId): void {
    const file = store.remove(parcel);
    const { trashMs } = this.#of.host.disk.config.timing;
    if (file !== undefined) store.trash.set(parcel, { ...file, untilMs: this.#of.nowMs + trashMs });
  }

  // ------------------------------------------------------------------------------------------------- grants for others

  asked(question: GrantQuestion, reply: (answer: GrantAnswer) => void): void {
    const ask = this.#nextAsk;
    this.#nextAsk += 1;
    this.#replies.set(ask, reply);
    this.#of.tell({ is: 'grant-asked', ask, ...question });
  }

  readPossession({ ask, parcel, store: id, nonce }: Effects<'read-possession'>): void {
    const holder = this.#of.host.id;
    const tell = (possession: Possession | undefined, because?: ReadFailure): void => {
      this.#of.tell({ is: 'possession-read', ask, possession, ...(because === undefined ? {} : { because }) });
    };
    if (this.#world.mutant?.name === 'grant-from-index') {
      this.#world.after(0, () => this.#of.enter(() => tell(possessionOf({ nonce, holder, content: parcel }))));
      return;
    }
    this.#read(id, parcel, (file, store) => {
      if (this.#of.dies('read-possession', 'done')) return;
      if (file === undefined || store === undefined) return tell(undefined, 'unreadable');
      this.#world.happened({ is: 'read', by: this.#of, ask, store, parcel });
      if (file !== parcel) {
        this.#stores.foundCorrupt(store, parcel, because => tell(undefined, because));
        return;
      }
      tell(possessionOf({ nonce, holder, content: file }));
    });
  }

  answer({ ask, parcel, answer }: Effects<'answer-grant'>): void {
    const reply = this.#replies.get(ask);
    this.#replies.delete(ask);
    if (answer.answer === 'grant') this.#world.counts.grants += 1;
    else this.#world.counts.denials += 1;
    // The crash comes when the answer is signed but not sent.
    if (this.#of.dies('answer-grant', 'begun')) return;
    reply?.(answer);
    if (this.#of.dies('answer-grant', 'done')) return;
    if (answer.answer === 'grant' && this.#of.host.lies?.grants === true) this.#throwAway(parcel);
  }

  #throwAway(parcel: ParcelId): void {
    for (const store of this.#stores.stores()) {
      if (store.remove(parcel) === undefined) continue;
      this.#world.happened({ is: 'injected-loss', host: this.#of.host, parcel });
    }
  }

  /**
   * Hands over what is under the name; undefined when it cannot be read. A name without a file reads as wrong bytes.
   */
  #read(
    id: StoreDisk['id'],
    parcel: ParcelId,
    done: (content: string | undefined, store: StoreDisk | undefined) => void,
  ): void {
    const store = this.#stores.mounted(id);
    const bytes = store?.files.get(parcel)?.bytes ?? 0;
    this.#world.after(store === undefined ? 1 : this.#stores.readMs(store, bytes), () =>
      this.#of.enter(() => {
        const now = this.#stores.mounted(id);
        if (now === undefined || now !== store || now.failing) done(undefined, now);
        else done(now.files.get(parcel)?.content ?? 'nothing', now);
      }),
    );
  }
}

/** The answer of a holder that has `content` on its disk: one short blob stands for the parcel's bytes. */
function possessionOf({
  nonce,
  holder,
  content,
}: {
  readonly nonce: Nonce;
  readonly holder: HostId;
  readonly content: string;
}): Possession {
  const hasher = possessionHasher(nonce, holder);
  const bytes = Buffer.from(content);
  hasher.blob(bytes.length);
  hasher.update(bytes);
  return hasher.digest();
}
