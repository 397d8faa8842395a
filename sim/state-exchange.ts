/**
 * State exchange: how one host hears of the others, through gossip frames, each of which counts once, and by asking for
 * their state over a stream; and what it answers when asked. Works like the daemon's.
 */
import { ALL_HEARD, type FrameNumber, type FramesHeard, judgeFrame } from '../src/core/frame-window.js';
import { compareEpochs, comparePositions } from '../src/core/holdings-log.js';
import type { HostId, StoreId } from '../src/core/ids.js';
import type { GossipMessage } from '../src/core/messages.js';
import { BootWatch } from './boot-watch.js';
import type { ConfigUse } from './config-use.js';
import { oneIn } from './draw.js';
import type { HeadKeeping } from './head-keeping.js';
import type { GossipFrame, SignedConfig } from './host-disk.js';
import { LogArchive } from './log-archive.js';
import type { Origin } from './origin.js';
import type { OwnStores } from './own-stores.js';
import type { StateAnswer, StateQuestion } from './questions.js';
import type { Running } from './sim-host.js';
import type { StateWrites } from './state-writes.js';
import type { StoreLog } from './store-log.js';
import type { Surroundings } from './surroundings.js';

/** One in this many answers with a checkpoint ends in the middle of it. */
const CUT_STREAM_ONE_IN = 10;

export interface StateExchangeOptions {
  readonly of: Running;
  readonly world: Surroundings;
  readonly state: StateWrites;
  readonly stores: OwnStores;
  readonly heads: HeadKeeping;
  /** Takes the heads of our own sources. */
  readonly origin: Origin;
  readonly configs: ConfigUse;
}

export class StateExchange {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #state: StateWrites;
  readonly #stores: OwnStores;
  readonly #heads: HeadKeeping;
  readonly #origin: Origin;
  readonly #configs: ConfigUse;
  readonly #archive: LogArchive;
  readonly #bootWatch: BootWatch;
  /** The last frame of each writer; on the disk as far as that took them. */
  readonly #lastFrames: Map<HostId, GossipFrame>;
  /** What was heard of each writer's frames before its last one. Not on the disk. */
  readonly #earlierFrames = new Map<HostId, Pick<FramesHeard, 'earlier' | 'former'>>();

  constructor(options: StateExchangeOptions) {
    this.#of = options.of;
    this.#world = options.world;
    this.#state = options.state;
    this.#lastFrames = new Map(options.of.host.disk.frames);
    this.#stores = options.stores;
    this.#heads = options.heads;
    this.#origin = options.origin;
    this.#configs = options.configs;
    this.#archive = new LogArchive(options);
    this.#bootWatch = new BootWatch(options);
  }

  /** Hands over what was read of others before the start. */
  open(): void {
    this.#archive.tellAll();
  }

  hear(writer: HostId, frame: GossipFrame, message: GossipMessage, config: SignedConfig): void {
    if (writer === this.#of.host.id) return;
    const last = this.#lastFrames.get(writer);
    const { verdict, heard } = judgeFrame(
      last && { last, ...(this.#earlierFrames.get(writer) ?? { earlier: ALL_HEARD }) },
      frame,
    );
    this.#earlierFrames.set(writer, heard);
    const counts = verdict === 'newer' || (verdict === 'overtaken' && message.kind !== 'heartbeat');
    if (!counts) {
      if (verdict === 'older-rising') this.#of.tell({ is: 'earlier-start', from: writer });
      // An old image, or one of two machines with one identity: it must learn that it is ignored.
      if (verdict === 'older-boot' || verdict === 'older-rising') this.ask(writer);
      return;
    }
    if (verdict === 'newer') {
      this.#lastFrames.set(writer, frame);
      if (!this.#state.refuses()) this.#of.host.disk.frames.set(writer, frame);
    }
    if (message.kind === 'log') this.#archive.keep(message.segment.end.store, message.segment.end.digest, false);
    if (config !== this.#of.host.disk.config && this.#configs.isNews(config)) this.#configs.ask(writer);
    this.#of.tell({ is: 'heard', from: writer, message });
  }

  ask(host: HostId): void {
    const question: StateQuestion = {
      from: this.#of.host.id,
      logs: this.#knownPositions(),
      yourFrame: this.#lastFrameOf(host),
    };
    this.#world.network.ask<StateAnswer>({
      from: this.#of,
      to: host,
      ask: (asked, reply) => reply(asked.answerState(question)),
      answered: answer => {
        const ok = answer !== undefined && this.#takeState(host, answer);
        if (this.#of.dies('ask-state', 'done')) return;
        this.#of.tell({ is: 'state-answered', host, ok });
      },
    });
  }

  askEverybody(): void {
    const { disk, id } = this.#of.host;
    for (const { host } of disk.config.members) if (host !== id) this.ask(host);
  }

  /** The last frame that was heard from a host; frame 0 for a start that is known only from a stream. */
  #lastFrameOf(host: HostId): FrameNumber | undefined {
    const gossiped = this.#lastFrames.get(host);
    const told = this.#of.machine.known.startOf(host);
    return told !== undefined && told.boot > (gossiped?.boot ?? 0) ? { boot: told.boot, frame: 0 } : gossiped;
  }

  #knownPositions(): StateQuestion['logs'] {
    const positions = new Map<StoreId, ReturnType<StoreLog['positionAt']>>();
    for (const { position } of this.#of.machine.known.positions()) positions.set(position.store, position);
    return positions;
  }

  /** @returns whether the whole answer came. */
  #takeState(from: HostId, { heartbeat, logs, heads, yours, yourFrame, config }: StateAnswer): boolean {
    if (this.#isTrusted(from)) this.#bootWatch.hear(yourFrame, from);
    if (heartbeat !== undefined) this.#of.tell({ is: 'heard', from, message: heartbeat });
    for (const { pieces, segment, relayed } of logs) {
      if (segment.host === this.#of.host.id) continue;
      const [piece] = pieces;
      const isWithContents = piece !== undefined && (piece.ops.length > 0 || piece.checkpoint.count === 0);
      // A stream may end anywhere: then the part of a checkpoint that came counts for nothing, and is asked for again.
      if (isWithContents && oneIn(this.#world.chance.of('cut streams'), CUT_STREAM_ONE_IN)) {
        for (const piece of pieces.slice(0, -1)) this.#of.tell({ is: 'checkpoint', piece, relayed });
        return false;
      }
      if (isWithContents) this.#world.counts.checkpointsRead += 1;
      if (piece !== undefined && !relayed) this.#archive.compare(piece);
      this.#archive.tell({ pieces, segment }, relayed);
      this.#archive.keep(segment.end.store, segment.end.digest, relayed);
    }
    for (const position of yours) this.#stores.hearOfOwnLog(position);
    for (const head of heads) {
      if (head.source.startsWith(this.#of.host.id)) this.#origin.hear(head);
      else this.#heads.offer(head);
    }
    this.#configs.offer(config);
    return true;
  }

  answer({ from, logs, yourFrame }: StateQuestion): StateAnswer {
    this.#world.happened({ is: 'serves', by: this.#of, to: from, what: 'state' });
    const isTrusted = this.#isTrusted(from);
    if (isTrusted) this.#bootWatch.hear(yourFrame, from);
    const knowsMore = [...this.#stores.stores()].some(({ log }) => {
      const known = logs.get(log.store);
      return known !== undefined && comparePositions(known, log) > 0;
    });
    if (knowsMore) this.ask(from);
    const tellings: StateAnswer['logs'][number][] = [];
    const since = (log: StoreLog): number => {
      const known = logs.get(log.store);
      return known !== undefined && compareEpochs(known.epoch, log.epoch) === 0 ? known.seq : 0;
    };
    for (const store of this.#stores.stores()) {
      const { log } = store;
      tellings.push({ ...log.telling(Math.min(since(log), log.seq)), relayed: false });
    }
    const yours: StateAnswer['yours'][number][] = [];
    for (const { log, seq } of this.#of.host.disk.archive.values()) {
      if (log.host === from) yours.push(log.positionAt(seq));
      if (log.host === from || log.host === this.#of.host.id) continue;
      const known = logs.get(log.store);
      if (known !== undefined && compareEpochs(known.epoch, log.epoch) > 0) continue;
      const fromSeq = since(log);
      // For a writer that is live itself, only its own answer counts.
      if (fromSeq < seq && this.#of.machine.known.host(log.host)?.connected === false)
        tellings.push({ ...log.telling(fromSeq, seq), relayed: true });
    }
    return {
      heartbeat: this.#of.machine.heartbeat(),
      logs: tellings,
      // An untrusted host gets the logs, for they say who has its copies, and of the heads those of its own sources.
      heads: isTrusted ? this.#heads.heads() : this.#heads.heads().filter(({ source }) => source.startsWith(from)),
      yours,
      yourFrame: this.#lastFrameOf(from),
      config: this.#of.host.disk.config,
    };
  }

  #isTrusted(host: HostId): boolean {
    const { config } = this.#of.host.disk;
    let trusted = TRUSTED.get(config);
    if (trusted === undefined) {
      trusted = new Set(config.members.filter(({ trust }) => trust === 'trusted').map(member => member.host));
      TRUSTED.set(config, trusted);
    }
    return trusted.has(host);
  }
}

/** The trusted members of each configuration: every host asks that of every other one. */
const TRUSTED = new WeakMap<SignedConfig, ReadonlySet<HostId>>();
