/**
 * Network: which hosts are connected, what gets through, and how late.
 *
 * There is a link between every two hosts. It comes up by itself a little after both ends run, admit each other and no
 * direction between them is cut; it goes down some time after one of these has ended, so that for a while a host that
 * is gone looks as if it were there. A question over a link is answered, or lost until its time is up, or ends with the
 * link. Gossip needs no link of its own: each host passes on what it hears.
 */
import type { Chance } from '../src/core/chance.js';
import type { Member } from '../src/core/cluster-config.js';
import type { HostId } from '../src/core/ids.js';
import type { GossipMessage } from '../src/core/messages.js';
import { between, logBetween, pick } from './draw.js';
import { frameBytes } from './frame-bytes.js';
import type { GossipFrame, SignedConfig } from './host-disk.js';
import type { Running, SimHost } from './sim-host.js';

/** How long it takes to dial a link that could come up, in ms. */
const REDIAL_MS = { least: 200, most: 3_000 };
/**
 * How long it takes to notice that a peer's service has ended, in ms: its system says so, or says nothing when the
 * power failed.
 */
const GONE_NOTICED_MS = { least: 5, most: 30_000 };
/** How long it takes to notice a peer that does not answer, or cannot be reached, in ms. */
const SILENCE_NOTICED_MS = { least: 15_000, most: 60_000 };
/** A lost question is given up after this, in ms. */
const PATIENCE_MS = 30_000;
/** For this long after a link came up, in ms, published messages may not go over it. */
const MESH_FORMS_MS = 1_000;
/** One in this many of them is lost. */
export const YOUNG_LOST_ONE_IN = 2;
/** Up to this many hosts all gossip with all (net/gossip-topic.ts), and each gets every frame from all others … */
const FULL_MESH_HOSTS_MAX = 8;
/**
 * … with more hosts, from this many neighbours, as measured between real services with the mesh of 4 to 6 that they ask
 * for.
 */
const MESH_DEGREE = 5;

interface Link {
  readonly a: SimHost;
  readonly b: SimHost;
  /** The two services that it connects, while it is up. */
  ends: readonly [Running, Running] | undefined;
  upSinceMs: number;
  /** How many faults cut each direction. */
  cutAToB: number;
  cutBToA: number;
  /** The number of faults that keep the cut from being noticed. */
  unnoticed: number;
  reviewing: boolean;
  readonly whenDown: Set<() => void>;
}

export interface Question<T> {
  readonly from: Running;
  readonly to: HostId;
  /** Runs in the service of the host asked. */
  readonly ask: (asked: Running, reply: (answer: T) => void) => void;
  /** Called once; undefined when there was no answer. */
  readonly answered: (answer: T | undefined, by: SimHost | undefined) => void;
  /** Takes an answer that came after the question had been given up. */
  readonly late?: (answer: T) => void;
  /** Takes an answer that reached nobody: the host that gave it must not wait for something that never begins. */
  readonly unheard?: (answer: T) => void;
}

export class Network {
  readonly #chance: Chance;
  readonly #after: (delayMs: number, run: () => void) => void;
  readonly #nowMs: () => number;
  readonly #hosts: readonly SimHost[];
  readonly #carriesOtherwise: () => void;
  /** By the numbers of the two hosts, the lower one first. */
  readonly #links: Link[][] = [];
  readonly #frames = new Map<Running, number>();
  readonly #states = new WeakMap<SignedConfig, ReadonlyMap<HostId, Member['state']>>();
  readonly #mutedGossip = { out: new Map<SimHost, number>(), in: new Map<SimHost, number>() };
  readonly #mutedStreams = { out: new Map<SimHost, number>(), in: new Map<SimHost, number>() };
  lossPercent = 0;
  /** Hosts that a member has admitted while no admin was there; everybody knows them. */
  readonly admitted = new Set<HostId>();
  duplicatePercent = 0;
  /**
   * Each host hears the frames of each writer in order, as over one stream, because a writer sends to all hosts that it
   * is connected with.
   */
  inOrder = false;
  readonly #lastArrivalMs = new Map<number, number>();
  delayMs = { least: 1, most: 40 };
  /** Gossip frames that hosts sent, and copies of them that hosts received, over all mesh neighbours. */
  gossipSent = 0;
  gossipBytesReceived = 0;
  streamBytes = 0;

  constructor({
    chance,
    after,
    nowMs,
    hosts,
    carriesOtherwise,
  }: {
    readonly chance: Chance;
    readonly after: (delayMs: number, run: () => void) => void;
    readonly nowMs: () => number;
    readonly hosts: readonly SimHost[];
    /** Called when the answers of `carries` for two hosts may have changed. */
    readonly carriesOtherwise: () => void;
  }) {
    this.#chance = chance;
    this.#after = after;
    this.#nowMs = nowMs;
    this.#hosts = hosts;
    this.#carriesOtherwise = carriesOtherwise;
  }

  // -------------------------------------------------------------------------------------------------------------- links

  /** Something about a host has changed: links may come up or go down. */
  review(host: SimHost): void {
    this.#carriesOtherwise();
    for (const other of this.#hosts) if (other !== host) this.#review(this.#link(host, other));
  }

  /** Ends at once all connections that the host's configuration now refuses, as a daemon does before anything else. */
  endRefused(host: SimHost): void {
    for (const other of this.#hosts) {
      if (other === host) continue;
      const link = this.#link(host, other);
      if (link.ends !== undefined && !this.admits(host, other.id)) this.#down(link);
    }
  }

  /** A new run of the host's service: the old run's connections are not connections of the new one. */
  restarted(host: SimHost): void {
    this.#carriesOtherwise();
    for (const other of this.#hosts) {
      if (other === host) continue;
      const link = this.#link(host, other);
      if (link.ends !== undefined) this.#down(link);
      this.#review(link);
    }
  }

  /** Cuts one direction. `unnoticed`: neither end notices while it lasts. */
  cut(from: SimHost, to: SimHost, unnoticed = false): void {
    this.#cutBy(from, to, 1, unnoticed);
  }

  mend(from: SimHost, to: SimHost, unnoticed = false): void {
    this.#cutBy(from, to, -1, unnoticed);
  }

  /** `out`: what it publishes or passes on goes nowhere; `in`: nothing that others publish comes to it. */
  muteGossip(host: SimHost, on: boolean, way: 'out' | 'in'): void {
    const muted = this.#mutedGossip[way];
    muted.set(host, (muted.get(host) ?? 0) + (on ? 1 : -1));
  }

  /** `out`: no stream that it opens comes about; `in`: none that others open to it. */
  muteStreams(host: SimHost, on: boolean, way: 'out' | 'in'): void {
    const muted = this.#mutedStreams[way];
    muted.set(host, (muted.get(host) ?? 0) + (on ? 1 : -1));
    this.#carriesOtherwise();
  }

  isUp(a: SimHost, b: SimHost): boolean {
    return this.#link(a, b).ends !== undefined;
  }

  /**
   * True when the bytes of a stream get through: both ends are responsive, and neither the bytes nor the replies are
   * cut off.
   */
  carries(from: SimHost, to: SimHost): boolean {
    if (!from.isResponsive || !to.isResponsive) return false;
    const link = this.#link(from, to);
    if (link.cutAToB > 0 || link.cutBToA > 0) return false;
    // The host that takes the bytes has opened the stream.
    return !this.#isMuted(this.#mutedStreams.out, to) && !this.#isMuted(this.#mutedStreams.in, from);
  }

  /** Calls `run` once when the link between the two goes down; at once if it is down. @returns how to cancel that. */
  whenDown(a: SimHost, b: SimHost, run: () => void): () => void {
    const link = this.#link(a, b);
    if (link.ends === undefined) {
      this.#after(0, run);
      return () => undefined;
    }
    link.whenDown.add(run);
    return () => link.whenDown.delete(run);
  }

  #cutBy(from: SimHost, to: SimHost, by: 1 | -1, unnoticed: boolean): void {
    const link = this.#link(from, to);
    if (link.a === from) link.cutAToB += by;
    else link.cutBToA += by;
    if (unnoticed) link.unnoticed += by;
    this.#carriesOtherwise();
    this.#review(link);
  }

  #link(one: SimHost, other: SimHost): Link {
    const [a, b] = one.number < other.number ? [one, other] : [other, one];
    this.#links[a.number] ??= [];
    const ofLower = this.#links[a.number] as Link[];
    const known = ofLower[b.number];
    if (known !== undefined) return known;
    const link: Link = {
      a,
      b,
      ends: undefined,
      upSinceMs: 0,
      cutAToB: 0,
      cutBToA: 0,
      unnoticed: 0,
      reviewing: false,
      whenDown: new Set(),
    };
    ofLower[b.number] = link;
    return link;
  }

  #isCut(link: Link, from: SimHost): boolean {
    return (link.a === from ? link.cutAToB : link.cutBToA) > 0;
  }

  #couldBeUp({ a, b, cutAToB, cutBToA }: Link): boolean {
    if (!a.isResponsive || !b.isResponsive || cutAToB > 0 || cutBToA > 0 || a.id === b.id) return false;
    return this.#admitEachOther(a, b);
  }

  #review(link: Link): void {
    if (link.reviewing) return;
    const could = this.#couldBeUp(link);
    if (could === (link.ends !== undefined)) return;
    if (!could && link.unnoticed > 0) return;
    const ended = link.ends?.some(end => !end.alive) === true;
    const span = could ? REDIAL_MS : ended ? GONE_NOTICED_MS : SILENCE_NOTICED_MS;
    link.reviewing = true;
    this.#after(logBetween(this.#chance, span.least, span.most), () => {
      link.reviewing = false;
      const isUp = link.ends !== undefined;
      const couldNow = this.#couldBeUp(link);
      if (couldNow && !isUp) this.#up(link);
      else if (!couldNow && isUp && link.unnoticed <= 0) this.#down(link);
      else if (isUp && link.ends?.some(end => !end.alive) === true) this.#down(link);
      this.#review(link);
    });
  }

  #up(link: Link): void {
    const { a, b } = link;
    if (a.running === undefined || b.running === undefined) return;
    link.ends = [a.running, b.running];
    link.upSinceMs = this.#nowMs();
    this.#tellConnected(a.running, b.id);
    this.#tellConnected(b.running, a.id);
  }

  #tellConnected(end: Running, peer: HostId): void {
    this.#after(this.#delay(), () => end.enter(() => end.tell({ is: 'connected', host: peer })));
  }

  #down(link: Link): void {
    const { ends, a, b } = link;
    link.ends = undefined;
    const whenDown = [...link.whenDown];
    link.whenDown.clear();
    // Not within the step that ended it: a machine hears of a configuration before it hears what has ended because of
    // it.
    for (const run of whenDown) this.#after(0, run);
    for (const [end, peer] of [
      [ends?.[0], b.id],
      [ends?.[1], a.id],
    ] as const) {
      if (end === undefined || this.#linked(end.host, peer).length > 0) continue;
      this.#after(this.#delay(), () => {
        // If a new connection came meanwhile, that one counts.
        if (this.#linked(end.host, peer).length > 0) return;
        end.enter(() => end.tell({ is: 'disconnected', host: peer }));
      });
    }
  }

  /** The machines with this id that the host is connected with. */
  #linked(host: SimHost, peer: HostId): SimHost[] {
    return this.#hosts.filter(
      other => other !== host && other.id === peer && this.#link(host, other).ends !== undefined,
    );
  }

  // ------------------------------------------------------------------------------------------------------------ streams

  ask<T>({ from, to, ask, answered, late, unheard }: Question<T>): void {
    const peers = this.#linked(from.host, to);
    const peer = peers.length === 0 ? undefined : peers.length === 1 ? peers[0] : pick(this.#chance, peers);
    let open = true;
    const end = (answer: T | undefined): void => {
      if (!open) {
        if (answer !== undefined) late?.(answer);
        return;
      }
      open = false;
      if (!from.alive && answer !== undefined) unheard?.(answer);
      from.enter(() => answered(answer, peer));
    };
    if (
      peer === undefined ||
      this.#isMuted(this.#mutedStreams.out, from.host) ||
      this.#isMuted(this.#mutedStreams.in, peer)
    ) {
      this.#after(this.#delay(), () => end(undefined));
      return;
    }
    const link = this.#link(from.host, peer);
    const forget = this.whenDown(from.host, peer, () => this.#after(this.#delay(), () => end(undefined)));
    const lost = (): void => this.#after(PATIENCE_MS, () => end(undefined));
    this.streamBytes += STREAM_BYTES;
    this.#after(this.#delay(), () => {
      const asked = peer.running;
      if (asked === undefined || this.#isCut(link, from.host)) return lost();
      asked.enter(() => {
        // Membership is checked again for every stream; and when a connection ends, so does everything on it.
        if (!this.admits(peer, from.host.id)) return lost();
        ask(asked, answer => {
          this.streamBytes += STREAM_BYTES;
          this.#after(this.#delay(), () => {
            if (this.#isCut(link, peer) || !this.#admitEachOther(peer, from.host)) {
              unheard?.(answer);
              lost();
              return;
            }
            forget();
            end(answer);
          });
        });
      });
    });
  }

  // ------------------------------------------------------------------------------------------------------------- gossip

  /** The number of gossip frames that this run has sent. */
  framesSent(of: Running): number {
    return this.#frames.get(of) ?? 0;
  }

  gossip(from: Running, message: GossipMessage): void {
    const { boot, bootId } = from;
    const frame: GossipFrame = { boot, bootId, frame: this.framesSent(from) + 1 };
    this.#frames.set(from, frame.frame);
    this.gossipSent += 1;
    if (this.#isMuted(this.#mutedGossip.out, from.host)) return;
    const config = from.host.disk.config;
    const others = Math.max(1, this.#hosts.length - 1);
    const copies = this.#hosts.length > FULL_MESH_HOSTS_MAX ? MESH_DEGREE : others;
    const bytes = frameBytes(message) * copies;
    for (const to of this.#hosts) {
      if (to === from.host || to.running === undefined || this.#isMuted(this.#mutedGossip.in, to)) continue;
      const hops = this.#hops(from.host, to);
      if (hops === 0 || this.#chance.below(100) < this.lossPercent) continue;
      const times = this.#chance.below(100) < this.duplicatePercent ? 2 : 1;
      for (let time = 0; time < times; time += 1) {
        let delayMs = 0;
        for (let hop = 0; hop < hops; hop += 1) delayMs += this.#delay();
        this.gossipBytesReceived += bytes;
        if (this.inOrder) delayMs = this.#delayInOrder(from.host, to, delayMs);
        this.#after(delayMs, () => this.#heard(to, from.host.id, { frame, message, config }));
      }
    }
  }

  /** The delay, or a longer one that brings the frame just after the one before it. */
  #delayInOrder(from: SimHost, to: SimHost, delayMs: number): number {
    const key = from.number * 65_536 + to.number;
    const arrivalMs = Math.max(this.#nowMs() + delayMs, this.#lastArrivalMs.get(key) ?? 0);
    this.#lastArrivalMs.set(key, arrivalMs);
    return arrivalMs - this.#nowMs();
  }

  #heard(
    to: SimHost,
    writer: HostId,
    {
      frame,
      message,
      config,
    }: { readonly frame: GossipFrame; readonly message: GossipMessage; readonly config: SignedConfig },
  ): void {
    const { running } = to;
    running?.enter(() => {
      if (this.admits(to, writer)) running.hear(writer, frame, message, config);
    });
  }

  /** 1: there is a link; 2: another host passes the message on; 0: it does not get there. */
  #hops(from: SimHost, to: SimHost): 0 | 1 | 2 {
    const direct = this.#link(from, to);
    if (direct.ends !== undefined && !this.#isCut(direct, from)) {
      const isYoung = this.#nowMs() - direct.upSinceMs < MESH_FORMS_MS;
      return isYoung && this.#chance.below(YOUNG_LOST_ONE_IN) === 0 ? 0 : 1;
    }
    for (const by of this.#hosts) {
      if (
        by === from ||
        by === to ||
        this.#isMuted(this.#mutedGossip.in, by) ||
        this.#isMuted(this.#mutedGossip.out, by) ||
        !this.admits(by, from.id)
      )
        continue;
      const [first, second] = [this.#link(from, by), this.#link(by, to)];
      if (first.ends === undefined || second.ends === undefined) continue;
      if (!this.#isCut(first, from) && !this.#isCut(second, by)) return 2;
    }
    return 0;
  }

  #isMuted(muted: ReadonlyMap<SimHost, number>, host: SimHost): boolean {
    return muted.size > 0 && (muted.get(host) ?? 0) > 0;
  }

  /** Like a daemon's gate: admits members, and hosts that were admitted and are in no version yet. */
  admits(host: SimHost, peer: HostId): boolean {
    const state = this.#statesBy(host.disk.config).get(peer);
    return state === undefined ? this.admitted.has(peer) : state !== 'revoked';
  }

  /** Cached, because it is asked for every frame. */
  #statesBy(config: SignedConfig): ReadonlyMap<HostId, Member['state']> {
    const known = this.#states.get(config);
    if (known !== undefined) return known;
    const states = new Map(config.members.map(({ host, state }) => [host, state]));
    this.#states.set(config, states);
    return states;
  }

  #admitEachOther(a: SimHost, b: SimHost): boolean {
    return this.admits(a, b.id) && this.admits(b, a.id);
  }

  #delay(): number {
    return between(this.#chance, this.delayMs.least, this.delayMs.most);
  }
}

/** The approximate size of a question or an answer with its frames. */
const STREAM_BYTES = 400;
