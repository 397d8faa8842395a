/**
 * Service: one run of a host's service: the real host machine, surrounded by the daemon's work, on simulated disks and
 * networks and in virtual time.
 *
 * Everything from outside goes through `enter`: it waits while the service is paused, and is dropped once it has ended.
 */

import type { AuditAnswer } from '../src/core/audit.js';
import { Chance } from '../src/core/chance.js';
import type { Effect, Input } from '../src/core/effects.js';
import { assert } from '../src/core/fault.js';
import type { GrantAnswer } from '../src/core/grant.js';
import { type HostId, type Nonce, type ParcelId, parseNonce, type SourceId, type StoreId } from '../src/core/ids.js';
import { Machine } from '../src/core/machine.js';
import type { GossipMessage } from '../src/core/messages.js';
import { RULES } from '../src/core/rules.js';
import type { HeadModel } from './catalog-model.js';
import { ConfigUse } from './config-use.js';
import { type CrashName, crashName } from './crash-points.js';
import { between } from './draw.js';
import { Fetching } from './fetching.js';
import { HeadKeeping } from './head-keeping.js';
import type { GossipFrame, HostDisk, SignedConfig } from './host-disk.js';
import { Origin } from './origin.js';
import { OwnStores, randomHex } from './own-stores.js';
import type {
  AuditQuestion,
  FetchAnswer,
  GrantQuestion,
  RelocationOffer,
  StateAnswer,
  StateQuestion,
} from './questions.js';
import { Removing } from './removing.js';
import { Serving } from './serving.js';
import type { Boundary, Running, SimHost, SnapshotEdit, Unstamped } from './sim-host.js';
import { StateExchange } from './state-exchange.js';
import { StateWrites } from './state-writes.js';
import type { StoreDisk } from './store-disk.js';
import type { Surroundings } from './surroundings.js';
import { TakingBack } from './taking-back.js';

/** Stores are measured, running time is written down, and so on, once per this many heartbeats. */
const CHORES_HEARTBEATS = 12;
/** A note of a parcel that nobody wants is tried again after this, in ms, when the disk refuses it. */
const NOTE_AGAIN_MS = 60_000;

export class Service implements Running {
  readonly host: SimHost;
  readonly machine: Machine;
  readonly boot: number;
  readonly previousBoot: number;
  readonly bootId: string;
  alive = true;
  readonly #world: Surroundings;
  readonly #state: StateWrites;
  readonly #stores: OwnStores;
  readonly #heads: HeadKeeping;
  readonly #origin: Origin;
  readonly #configs: ConfigUse;
  readonly #exchange: StateExchange;
  readonly #fetching: Fetching;
  readonly #serving: Serving;
  readonly #removing: Removing;
  readonly #takingBack: TakingBack;
  snapshotsDue = 0;
  readonly #startedMs: number;
  readonly #ranBeforeMs: number;
  readonly #queue: Unstamped[] = [];
  #stepping = false;
  #wakeMs = Number.POSITIVE_INFINITY;
  #wakeVersion = 0;
  /** The newest of each parcel. */
  readonly #unwantedNotes = new Map<ParcelId, Extract<Effect, { do: 'note-unwanted' }>>();
  readonly #offers = new Map<number, (accepted: boolean) => void>();
  #nextOffer = 1;
  /** Including those that could not be written. */
  readonly #absences: HostDisk['absences'];

  constructor(host: SimHost, world: Surroundings) {
    const { disk } = host;
    this.previousBoot = disk.boot;
    disk.boot += 1;
    this.host = host;
    this.boot = disk.boot;
    this.#world = world;
    this.#startedMs = this.nowMs;
    this.#ranBeforeMs = disk.ranMs;
    const seed = world.chance.of(`machine/${host.number}`);
    const words = [seed.uint32(), seed.uint32(), seed.uint32()] as const;
    // The mutant takes its nonces from a generator that starts over with each service.
    const repeats = world.mutant?.name === 'nonce-repeats';
    const nonces = repeats ? new Chance([host.number, 1, 1]) : world.chance.of(`nonce/${host.number}`);
    this.machine = new Machine({
      self: host.id,
      boot: this.boot,
      chance: new Chance(words),
      nonces: () => parseNonce(randomHex(nonces, 4)),
      config: disk.config,
      nowMs: this.nowMs,
      ranBeforeMs: disk.ranMs,
      rules: world.mutant?.rules ?? RULES,
      limits: world.holdingsLimits,
      absences: disk.absences.map(({ absence, notedMs }) => ({
        ...absence,
        agoMs: absence.agoMs + world.nowMs - notedMs,
      })),
    });
    this.bootId = this.machine.heartbeat().bootId;
    this.#state = new StateWrites(this, world);
    this.#absences = [...disk.absences];
    this.#stores = new OwnStores(this, world);
    this.#heads = new HeadKeeping({ of: this, world, state: this.#state });
    this.#origin = new Origin({
      of: this,
      world,
      state: this.#state,
      heads: this.#heads,
      askEverybody: () => this.#exchange.askEverybody(),
    });
    this.#configs = new ConfigUse({ of: this, world, state: this.#state });
    this.#exchange = new StateExchange({
      of: this,
      world,
      state: this.#state,
      stores: this.#stores,
      heads: this.#heads,
      origin: this.#origin,
      configs: this.#configs,
    });
    this.#fetching = new Fetching(this, world, this.#stores);
    this.#serving = new Serving({ of: this, world, stores: this.#stores, origin: this.#origin });
    this.#removing = new Removing({ of: this, world, stores: this.#stores, origin: this.#origin });
    this.#takingBack = new TakingBack({ of: this, world, stores: this.#stores });
  }

  /** The first steps of the daemon, in its order. */
  open(): void {
    const { disk } = this.host;
    if (this.host.askedToPause) this.tell({ is: 'paused', paused: true });
    this.#heads.open();
    this.#exchange.open();
    if (disk.ranUntilMs !== undefined) this.tell({ is: 'was-off', forMs: this.#world.nowMs - disk.ranUntilMs });
    const parcels = [...disk.unwanted].map(([parcel, sinceRunMs]) => ({ parcel, sinceRunMs }));
    if (parcels.length > 0) this.tell({ is: 'unwanted-before', parcels });
    if (disk.unanswered.size > 0) this.tell({ is: 'unanswered-before', audits: [...disk.unanswered.values()] });
    this.#stores.open();
    if (this.#world.mutant?.name === 'deletion-outlives-restart') this.#removing.carryOutQueuedDeletions();
    this.#takingBack.start();
    this.#doChores();
    // The machine asks for its first wake only in answer to an input.
    this.tell({ is: 'wake' });
  }

  get nowMs(): number {
    return this.host.clock.nowMs(this.#world.nowMs);
  }

  get runMs(): number {
    return this.#ranBeforeMs + this.nowMs - this.#startedMs;
  }

  enter(run: () => void): void {
    if (!this.alive) return;
    if (this.host.paused || this.host.suspended) this.host.waiting.push(() => this.enter(run));
    else run();
  }

  mounted(store: StoreId): StoreDisk | undefined {
    return this.#stores.mounted(store);
  }

  dies(effect: Effect['do'], boundary: Boundary): boolean {
    const { armed } = this.host;
    if (!this.alive) return true;
    if (armed === undefined || armed.boundary !== boundary) return false;
    if (armed.on !== undefined && armed.on !== effect) return false;
    this.host.armed = undefined;
    const { counts } = this.#world;
    counts.boundaryCrashes += 1;
    const name = crashName(effect, boundary);
    if (name in counts) counts[name as CrashName] += 1;
    armed.strike();
    return true;
  }

  end(): void {
    this.alive = false;
    this.#fetching.end();
  }

  // ------------------------------------------------------------------------------------------------------------- machine

  tell(input: Unstamped): void {
    if (!this.alive) return;
    this.#queue.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined && this.alive; next = this.#queue.shift()) {
        const stamped = { ...next, nowMs: this.nowMs } as Input;
        this.#world.happened({ is: 'told', by: this, input: stamped });
        for (const effect of this.machine.step(stamped)) {
          if (!this.alive) return;
          this.#world.happened({ is: 'effect', by: this, effect });
          this.#carryOut(effect);
        }
        this.#world.happened({ is: 'stepped', by: this, input: stamped });
      }
    } finally {
      this.#stepping = false;
    }
  }

  clockChanged(): void {
    this.#wakeAt(this.#wakeMs);
  }

  #wakeAt(atMs: number): void {
    this.#wakeMs = atMs;
    this.#wakeVersion += 1;
    const version = this.#wakeVersion;
    const worldMs = this.host.clock.worldMsAt(atMs);
    if (worldMs === Number.POSITIVE_INFINITY) return;
    // Timers count whole milliseconds: a wake less than one away must not fire at once, again and again.
    const delayMs = atMs <= this.nowMs ? 0 : Math.max(1, Math.ceil(worldMs - this.#world.nowMs));
    this.#world.after(delayMs, () =>
      this.enter(() => {
        if (this.#wakeVersion === version) this.tell({ is: 'wake' });
      }),
    );
  }

  #carryOut(effect: Effect): void {
    if (effect.do === 'wake') {
      this.#wakeAt(effect.atMs);
      return;
    }
    if (this.dies(effect.do, 'asked')) return;
    switch (effect.do) {
      case 'gossip':
        if (effect.message.kind === 'claims') {
          if (this.#world.greedy) break;
          this.#world.counts.withdrawnClaims += effect.message.withdrawn.length;
        }
        this.#world.network.gossip(this, effect.message);
        this.dies('gossip', 'done');
        break;
      case 'ask-state':
        this.#exchange.ask(effect.host);
        break;
      case 'ask-config':
        this.#configs.ask(effect.host);
        break;
      case 'fetch':
        this.#fetching.start(effect);
        break;
      case 'cancel-fetch':
        this.#fetching.cancel(effect.fetch);
        break;
      case 'measure':
        this.#measure(effect);
        break;
      case 'keep-head':
        this.#keepHead(effect);
        break;
      case 'prove-own':
        this.#removing.proveOwn(effect);
        break;
      case 'ask-grants':
        this.#removing.askGrants(effect);
        break;
      case 'drop':
        this.#removing.drop(effect);
        break;
      case 'ask-audit':
        this.#removing.askAudit(effect);
        break;
      case 'note-unanswered':
        this.#noteUnanswered(effect);
        break;
      case 'note-distrust':
        if (effect.copies > 0) this.#world.counts.distrusts += 1;
        break;
      case 'read-possession':
        this.#removing.readPossession(effect);
        break;
      case 'answer-grant':
        this.#removing.answer(effect);
        break;
      case 'expire':
        this.#removing.expire(effect);
        break;
      case 'identify':
        this.#removing.identify(effect);
        break;
      case 'note-unwanted':
        this.#noteUnwanted(effect);
        break;
      case 'offer-relocation':
        this.#offerRelocation(effect);
        break;
      case 'answer-relocation':
        this.#offers.get(effect.ask)?.(effect.accepted);
        this.#offers.delete(effect.ask);
        this.dies('answer-relocation', 'done');
        break;
      case 'note-absence':
        this.#absences.push({ absence: effect.absence, notedMs: this.#world.nowMs });
        this.#state.write(() => {
          this.host.disk.absences = [...this.#absences];
          this.dies('note-absence', 'done');
        });
        break;
      case 'note-duplicate':
        if (effect.duplicate) this.#world.counts.duplicates += 1;
        break;
      case 'note-outage':
        if (effect.hosts.length > 0) this.#world.counts.outages += 1;
        break;
      case 'note-liveness':
      case 'note-move-ended':
      case 'note-distrust-full':
      case 'note-unanswered-full':
      // Reads and questions go on here, to show that their results count for nothing.
      case 'cancel-attempt':
        break;
      default:
        effect satisfies never;
    }
    this.dies(effect.do, 'begun');
  }

  #noteUnanswered({ copy, unanswered }: Extract<Effect, { do: 'note-unanswered' }>): void {
    const id = `${copy.host} ${copy.store} ${copy.parcel}`;
    this.#state.write(() => {
      if (unanswered === undefined) this.host.disk.unanswered.delete(id);
      else this.host.disk.unanswered.set(id, { copy, unanswered });
      this.dies('note-unanswered', 'done');
    });
  }

  #noteUnwanted(note: Extract<Effect, { do: 'note-unwanted' }>): void {
    const { parcel, sinceRunMs } = note;
    const { unwanted, notNoted } = this.host.disk;
    this.#unwantedNotes.set(parcel, note);
    this.#state.write(
      () => {
        notNoted.delete(parcel);
        if (sinceRunMs === undefined) unwanted.delete(parcel);
        else unwanted.set(parcel, sinceRunMs);
        this.dies('note-unwanted', 'done');
      },
      () => {
        notNoted.add(parcel);
        const again = (): void => {
          if (this.#unwantedNotes.get(parcel) === note) this.#noteUnwanted(note);
        };
        this.#world.after(NOTE_AGAIN_MS, () => this.enter(again));
      },
    );
  }

  #offerRelocation({ offer, to, parcels }: Extract<Effect, { do: 'offer-relocation' }>): void {
    this.#world.network.ask<boolean>({
      from: this,
      to,
      ask: (asked, reply) => asked.answerRelocation({ from: this.host.id, parcels }, reply),
      answered: accepted => {
        if (this.dies('offer-relocation', 'done')) return;
        this.tell({ is: 'relocation-answered', offer, accepted: accepted === true });
      },
    });
  }

  answerAudit(question: AuditQuestion, reply: (answer: AuditAnswer) => void): void {
    this.#world.counts.audits += 1;
    this.#removing.answerAudit(question, reply);
  }

  answerRelocation({ from, parcels }: RelocationOffer, reply: (accepted: boolean) => void): void {
    const ask = this.#nextOffer;
    this.#nextOffer += 1;
    this.#offers.set(ask, reply);
    this.tell({ is: 'relocation-offered', ask, from, parcels });
  }

  #measure({ parcel, store: id }: Extract<Effect, { do: 'measure' }>): void {
    const chance = this.#world.chance.of(`disk/${this.host.number}`);
    const isTold = chance.below(4) !== 0;
    const model = this.#world.catalog.parcel(parcel);
    const store = this.#stores.mounted(id);
    const missingBytes =
      isTold && model !== undefined ? store?.missingBytes({ bytes: model.ref.bytes, shared: model.shared }) : undefined;
    const atHand = missingBytes !== undefined && model !== undefined && this.#stores.findAll(model) !== undefined;
    this.#world.after(between(chance, 5, 200), () =>
      this.enter(() => {
        if (!this.dies('measure', 'done')) this.tell({ is: 'measured', parcel, store: id, missingBytes, atHand });
      }),
    );
  }

  #keepHead({ store: id, source }: Extract<Effect, { do: 'keep-head' }>): void {
    const store = this.#stores.mounted(id);
    const known = this.#heads.get(source);
    const isTaken =
      store !== undefined &&
      known !== undefined &&
      this.#stores.append(store, { op: 'head', source, seq: known.seq }, () => {
        if (this.dies('keep-head', 'done')) return;
        this.#stores.tellOps(store, segment => this.tell({ is: 'head-kept', store: id, source, segment }));
      });
    if (!isTaken) this.tell({ is: 'head-not-kept', store: id, source });
  }

  #doChores(): void {
    const { timing } = this.host.disk.config;
    this.#world.after(CHORES_HEARTBEATS * timing.heartbeatMs, () =>
      this.enter(() => {
        if (!this.#state.refuses()) {
          this.host.disk.ranMs = this.runMs;
          this.host.disk.ranUntilMs = this.#world.nowMs;
        }
        this.#heads.letGo();
        this.#stores.measure();
        this.#stores.scrubOne();
        this.#stores.emptyTrash(this.nowMs);
        this.#doChores();
      }),
    );
  }

  promisedBytes(store: StoreDisk): number {
    const landedBytes = this.#fetching.landedBytes(store) + this.#takingBack.landedBytes(store);
    return store.usedBytes - landedBytes + this.machine.known.reservedBytes(store.id);
  }

  mountedStores(): IterableIterator<StoreDisk> {
    return this.#stores.stores();
  }

  // -------------------------------------------------------------------------------------------------------------- others

  hear(writer: HostId, frame: GossipFrame, message: GossipMessage, config: SignedConfig): void {
    this.#exchange.hear(writer, frame, message, config);
  }

  answerState(question: StateQuestion): StateAnswer {
    return this.#exchange.answer(question);
  }

  answerFetch(parcel: ParcelId, purpose: 'grab' | 'repair', asker: HostId): FetchAnswer {
    const answer = this.#serving.answer(parcel, purpose, asker);
    if (answer.kind === 'bytes') this.#world.happened({ is: 'serves', by: this, to: asker, what: 'bytes' });
    return answer;
  }

  answerGrant(question: GrantQuestion, reply: (answer: GrantAnswer) => void): void {
    this.#removing.asked(question, reply);
  }

  grantAnswered(attempt: Nonce, from: HostId, answer: GrantAnswer | undefined): void {
    this.#removing.answered(attempt, from, answer);
  }

  // -------------------------------------------------------------------------------------------------- people's own wishes

  offerConfig(config: SignedConfig): void {
    this.#configs.offer(config);
  }

  backUp(source: SourceId, edit: SnapshotEdit): void {
    assert(source.startsWith(this.host.id), `${source} is not a source of ${this.host.id}`);
    this.#origin.backUp(source, edit);
  }

  lookAgain(): void {
    this.#stores.lookAgain();
    this.#stores.measure();
  }

  scrub(): void {
    this.#stores.measure();
    this.#stores.scrub();
  }

  claimToHold(id: StoreId, parcels: readonly ParcelId[]): void {
    const store = this.#stores.mounted(id);
    if (store === undefined) return;
    for (const parcel of parcels) {
      this.#stores.append(store, { op: 'add', parcel }, () =>
        this.#stores.tellOps(store, segment => this.tell({ is: 'own-ops', segment, usedBytes: store.usedBytes })),
      );
    }
  }

  head(source: SourceId): HeadModel | undefined {
    return this.#heads.get(source);
  }
}
