/**
 * Service: one run of a host's service: the real host machine, and around it what the daemon does, on simulated disks and
 * networks and in virtual time.
 *
 * All that comes from outside goes through `enter`: it waits while the service is paused, and is gone when it has ended.
 */

import type { AuditAnswer } from '../src/core/audit.js';
import { Chance } from '../src/core/chance.js';
import type { CheckpointPiece } from '../src/core/checkpoint.js';
import type { Effect, Input } from '../src/core/effects.js';
import { assert } from '../src/core/fault.js';
import { ALL_HEARD, type FrameNumber, judgeFrame } from '../src/core/frame-window.js';
import type { GrantAnswer } from '../src/core/grant.js';
import { compareEpochs, comparePositions } from '../src/core/holdings-log.js';
import { type HostId, type Nonce, type ParcelId, parseNonce, type SourceId, type StoreId } from '../src/core/ids.js';
import { LaterStarts } from '../src/core/later-starts.js';
import { Machine } from '../src/core/machine.js';
import type { GossipMessage } from '../src/core/messages.js';
import { RULES } from '../src/core/rules.js';
import type { HeadModel } from './catalog-model.js';
import { goesBefore } from './config-chain.js';
import { between, oneIn } from './draw.js';
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
import { StateWrites } from './state-writes.js';
import type { StoreDisk } from './store-disk.js';
import type { LogTelling, StoreLog } from './store-log.js';
import type { Surroundings } from './surroundings.js';
import { TakingBack } from './taking-back.js';

/** Stores are measured, running time is written down, and so on, once in so many heartbeats. */
const CHORES_HEARTBEATS = 12;
/** One machine does not ask another for its configuration more often than this, in ms. */
const ASK_CONFIG_MS = 1_000;
/** Of answers with a checkpoint so many end in the middle of it. */
const CUT_STREAM_ONE_IN = 10;

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
  readonly #fetching: Fetching;
  readonly #serving: Serving;
  readonly #removing: Removing;
  readonly #takingBack: TakingBack;
  readonly #startedMs: number;
  readonly #ranBeforeMs: number;
  readonly #laterStarts: LaterStarts;
  readonly #queue: Unstamped[] = [];
  #stepping = false;
  #wakeMs = Number.POSITIVE_INFINITY;
  #wakeVersion = 0;
  readonly #offers = new Map<number, (accepted: boolean) => void>();
  #nextOffer = 1;
  #askConfigAtMs = Number.NEGATIVE_INFINITY;
  /** With what could not be written. */
  readonly #absences: HostDisk['absences'];
  /** Of each writer's frames before its last one, which were heard. Not on the disk. */
  readonly #earlierFrames = new Map<HostId, number>();

  constructor(host: SimHost, world: Surroundings) {
    const { disk } = host;
    this.previousBoot = disk.boot;
    disk.boot += 1;
    this.host = host;
    this.boot = disk.boot;
    this.#world = world;
    this.#startedMs = this.nowMs;
    this.#laterStarts = new LaterStarts(disk.boot);
    this.#ranBeforeMs = disk.ranMs;
    const seed = world.chance.of(`machine/${host.number}`);
    const words = [seed.uint32(), seed.uint32(), seed.uint32()] as const;
    // The mutant takes its nonces from a generator that starts anew with each service.
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
      askEverybody: () => this.#askEverybody(),
    });
    this.#fetching = new Fetching(this, world, this.#stores);
    this.#serving = new Serving({ of: this, world, stores: this.#stores, origin: this.#origin });
    this.#removing = new Removing({ of: this, world, stores: this.#stores, origin: this.#origin });
    this.#takingBack = new TakingBack({ of: this, world, stores: this.#stores });
  }

  /** What the daemon does first, in its order. */
  open(): void {
    const { disk, id } = this.host;
    this.#heads.open();
    for (const [, { log, seq }] of disk.archive) if (log.host !== id) this.#tellLog(log.telling(0, seq));
    const parcels = [...disk.unwanted].map(([parcel, sinceRunMs]) => ({ parcel, sinceRunMs }));
    if (parcels.length > 0) this.tell({ is: 'unwanted-before', parcels });
    if (disk.unanswered.size > 0) this.tell({ is: 'unanswered-before', audits: [...disk.unanswered.values()] });
    this.#stores.open();
    if (this.#world.mutant?.name === 'deletion-outlives-restart') this.#removing.carryOutQueuedDeletions();
    this.#takingBack.start();
    this.#doChores();
    // The machine asks for its first wake in answer to something.
    this.tell({ is: 'wake' });
  }

  #tellLog({ pieces, segment }: LogTelling, relayed = false): void {
    for (const piece of pieces) this.tell({ is: 'checkpoint', piece, relayed });
    this.tell({ is: 'log', segment, relayed });
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
    this.#world.counts.boundaryCrashes += 1;
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
    // Timers count whole milliseconds: what is less than one away must not come at once, again and again.
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
        break;
      case 'ask-state':
        this.#askState(effect.host);
        break;
      case 'ask-config':
        this.#askConfig(effect.host);
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
        if (effect.accepted) this.#world.counts.relocations += 1;
        this.#offers.get(effect.ask)?.(effect.accepted);
        this.#offers.delete(effect.ask);
        this.dies('answer-relocation', 'done');
        break;
      case 'note-absence':
        this.#absences.push({ absence: effect.absence, notedMs: this.#world.nowMs });
        this.#state.write(() => {
          this.host.disk.absences = [...this.#absences];
        });
        break;
      case 'note-duplicate':
        if (effect.duplicate) this.#world.counts.duplicates += 1;
        break;
      case 'note-outage':
        if (effect.hosts.length > 0) this.#world.counts.outages += 1;
        break;
      case 'note-liveness':
      case 'note-distrust-full':
      case 'note-unanswered-full':
      // Reads and questions go on here: what comes of them counts for nothing, which is to be seen.
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
    });
  }

  #noteUnwanted({ parcel, sinceRunMs }: Extract<Effect, { do: 'note-unwanted' }>): void {
    this.#state.write(() => {
      if (sinceRunMs === undefined) this.host.disk.unwanted.delete(parcel);
      else this.host.disk.unwanted.set(parcel, sinceRunMs);
      this.dies('note-unwanted', 'done');
    });
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
    this.#world.after(between(chance, 5, 200), () =>
      this.enter(() => this.tell({ is: 'measured', parcel, store: id, missingBytes })),
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
        if (!this.#state.refuses()) this.host.disk.ranMs = this.runMs;
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
    if (writer === this.host.id) return;
    const { frames } = this.host.disk;
    const last = frames.get(writer);
    const { verdict, heard } = judgeFrame(
      last === undefined ? undefined : { last, earlier: this.#earlierFrames.get(writer) ?? ALL_HEARD },
      frame,
    );
    this.#earlierFrames.set(writer, heard.earlier);
    const counts = verdict === 'newer' || (verdict === 'overtaken' && message.kind !== 'heartbeat');
    if (!counts) {
      // An old image, or one of two machines with one identity: it must learn that it is not heard.
      if (verdict === 'older-boot') this.#askState(writer);
      return;
    }
    if (verdict === 'newer') frames.set(writer, frame);
    if (message.kind === 'log') this.#archive(message.segment.end.store, message.segment.end.digest, false);
    if (config !== this.host.disk.config && goesBefore(config, this.host.disk.config)) this.#askConfig(writer);
    this.tell({ is: 'heard', from: writer, message });
  }

  #askState(host: HostId): void {
    const question: StateQuestion = {
      from: this.host.id,
      logs: this.#knownPositions(),
      yourFrame: this.#lastFrameOf(host),
    };
    this.#world.network.ask<StateAnswer>({
      from: this,
      to: host,
      ask: (asked, reply) => reply(asked.answerState(question)),
      answered: answer => {
        const ok = answer !== undefined && this.#takeState(host, answer);
        if (this.dies('ask-state', 'done')) return;
        this.tell({ is: 'state-answered', host, ok });
      },
    });
  }

  /** The last frame that was heard of a host; of a start that is known by a stream only, frame 0. */
  #lastFrameOf(host: HostId): FrameNumber | undefined {
    const gossiped = this.host.disk.frames.get(host);
    const told = this.machine.known.startOf(host);
    return told !== undefined && told.boot > (gossiped?.boot ?? 0) ? { boot: told.boot, frame: 0 } : gossiped;
  }

  #knownPositions(): StateQuestion['logs'] {
    const positions = new Map<StoreId, ReturnType<StoreLog['positionAt']>>();
    for (const { position } of this.machine.known.positions()) positions.set(position.store, position);
    return positions;
  }

  /** @returns whether all of it came. */
  #takeState(from: HostId, { heartbeat, logs, heads, yours, yourFrame, config }: StateAnswer): boolean {
    if (this.#isTrusted(from)) this.#hearOfOwnStart(yourFrame);
    if (heartbeat !== undefined) this.tell({ is: 'heard', from, message: heartbeat });
    for (const { pieces, segment, relayed } of logs) {
      if (segment.host === this.host.id) continue;
      // A stream may end anywhere: what came of a checkpoint then counts for nothing, and is asked for again.
      if (pieces.length > 0 && oneIn(this.#world.chance.of('cut streams'), CUT_STREAM_ONE_IN)) {
        for (const piece of pieces.slice(0, -1)) this.tell({ is: 'checkpoint', piece, relayed });
        return false;
      }
      if (pieces.length > 0) this.#world.counts.checkpointsRead += 1;
      const [piece] = pieces;
      if (piece !== undefined && !relayed) this.#compareWithArchive(piece);
      this.#tellLog({ pieces, segment }, relayed);
      this.#archive(segment.end.store, segment.end.digest, relayed);
    }
    for (const position of yours) this.#stores.hearOfOwnLog(position);
    for (const head of heads) {
      if (head.source.startsWith(this.host.id)) this.#origin.hear(head);
      else this.#heads.offer(head);
    }
    if (goesBefore(config, this.host.disk.config)) this.#useConfig(config);
    return true;
  }

  answerState({ from, logs, yourFrame }: StateQuestion): StateAnswer {
    this.#world.happened({ is: 'serves', by: this, to: from, what: 'state' });
    if (!this.#isTrusted(from)) return this.#answerUntrusted(from);
    this.#hearOfOwnStart(yourFrame);
    const knowsMore = [...this.#stores.stores()].some(({ log }) => {
      const known = logs.get(log.store);
      return known !== undefined && comparePositions(known, log) > 0;
    });
    if (knowsMore) this.#askState(from);
    const tellings: StateAnswer['logs'][number][] = [];
    const since = (log: StoreLog): number => {
      const known = logs.get(log.store);
      return known !== undefined && compareEpochs(known.epoch, log.epoch) === 0 ? known.seq : 0;
    };
    for (const store of this.#stores.stores()) {
      const afterSeq = since(store.log);
      if (afterSeq === 0 || afterSeq < store.log.seq)
        tellings.push({ ...store.log.telling(Math.min(afterSeq, store.log.seq)), relayed: false });
    }
    const yours: StateAnswer['yours'][number][] = [];
    for (const { log, seq } of this.host.disk.archive.values()) {
      if (log.host === from) yours.push(log.positionAt(seq));
      else if (log.host !== this.host.id && this.machine.known.host(log.host)?.connected === false) {
        // Of a writer that is there itself, only its own word counts.
        const known = logs.get(log.store);
        if (known !== undefined && compareEpochs(known.epoch, log.epoch) > 0) continue;
        if (since(log) < seq) tellings.push({ ...log.telling(since(log), seq), relayed: true });
      }
    }
    return {
      heartbeat: this.machine.heartbeat(),
      logs: tellings,
      heads: this.#heads.heads(),
      yours,
      yourFrame: this.#lastFrameOf(from),
      config: this.host.disk.config,
    };
  }

  /** What we remember of its own sources, and of nobody else's. Strangers never come so far: the network refuses them. */
  #answerUntrusted(from: HostId): StateAnswer {
    return {
      heartbeat: undefined,
      logs: [],
      heads: this.#heads.heads().filter(({ source }) => source.startsWith(from)),
      yours: [],
      yourFrame: this.#lastFrameOf(from),
      config: this.host.disk.config,
    };
  }

  #isTrusted(host: HostId): boolean {
    return this.host.disk.config.members.some(member => member.host === host && member.trust === 'trusted');
  }

  /** What a trusted member has heard of us last. The service ends where the counter cannot be raised, too, and starts again. */
  #hearOfOwnStart(heard: FrameNumber | undefined): void {
    if (heard === undefined) return;
    const { disk } = this.host;
    const verdict = this.#laterStarts.hear(heard, {
      framesSent: this.#world.network.framesSent(this),
      wallMs: this.#wallMs,
      raisedMs: disk.bootRaisedMs,
    });
    if (verdict.act !== 'raise') return;
    this.#world.after(verdict.inMs, () =>
      this.enter(() => {
        if (!this.#state.refuses()) {
          disk.bootRaisedMs = this.#wallMs;
          disk.boot = Math.max(disk.boot, this.#laterStarts.highest);
        }
        this.#world.counts.bootsRaised += 1;
        this.#world.restart(this.host);
      }),
    );
  }

  get #wallMs(): number {
    return this.#world.nowMs + this.host.wallOffsetMs;
  }

  /** Told by the writer of what we have read past: only here it is seen that this was another log. */
  #compareWithArchive({ checkpoint: { host, at } }: CheckpointPiece): void {
    const { archive } = this.host.disk;
    const known = archive.get(at.store);
    if (known === undefined || compareEpochs(known.log.epoch, at.epoch) !== 0 || at.seq > known.seq) return;
    if (known.log.digestAt(at.seq) === at.digest) return;
    this.#world.counts.logForks += 1;
    this.tell({ is: 'log-forked', host, store: at.store });
    archive.delete(at.store);
  }

  /** Keeps another host's log over a restart, as far as it has been read. */
  #archive(store: StoreId, digest: string, relayed: boolean): void {
    const place = this.#world.logs.placeOf(digest);
    if (place === undefined || place.log.host === this.host.id) return;
    const { log, seq } = place;
    const { archive } = this.host.disk;
    const known = archive.get(store);
    const order = known === undefined ? 1 : compareEpochs(log.epoch, known.log.epoch);
    if (order < 0) return;
    if (known !== undefined && order === 0) {
      if (seq < known.seq) return;
      const carriesOn = log.continues(known.log, known.seq);
      if (carriesOn ? seq === known.seq : relayed) return;
    }
    if (this.#state.refuses()) return;
    archive.set(store, place);
  }

  #askEverybody(): void {
    for (const { host } of this.host.disk.config.members) if (host !== this.host.id) this.#askState(host);
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
    if (goesBefore(config, this.host.disk.config)) this.#useConfig(config);
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

  #askConfig(host: HostId): void {
    if (this.#world.nowMs < this.#askConfigAtMs) return;
    this.#askConfigAtMs = this.#world.nowMs + ASK_CONFIG_MS;
    this.#world.network.ask<SignedConfig>({
      from: this,
      to: host,
      ask: (asked, reply) => reply(asked.host.disk.config),
      answered: config => {
        if (config !== undefined && goesBefore(config, this.host.disk.config)) this.#useConfig(config);
      },
    });
  }

  /** Durable before it is used. */
  #useConfig(config: SignedConfig): void {
    this.#state.write(
      () => {
        if (!goesBefore(config, this.host.disk.config)) return;
        this.host.disk.config = config;
        this.#world.network.endRefused(this.host);
        this.tell({ is: 'config', config });
        this.#world.network.review(this.host);
      },
      () => {
        // Who signed it is told that it came to nothing; others hear of it again.
        if (this.host.signed === config) this.host.signed = undefined;
      },
    );
  }
}
