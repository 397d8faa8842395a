/**
 * Bench: what the host machine costs. `npm run bench:machine` prints a table; `--json` prints one line for each figure;
 * `-- 30x2000` measures only a fleet of 30 hosts and 2000 parcels.
 *
 * Events per second are the steps of all machines of a fleet divided by the time spent in them; carrying events between
 * them is not counted. When the computer has other work, a loop of known length in between shows how much of the time
 * this process had; the rest is subtracted.
 * Bytes per parcel are what one machine of a settled fleet keeps, heap and typed arrays, divided by its parcels.
 */
import { Chance } from '../../src/core/chance.js';
import { type ClusterConfig, DEFAULT_TIMING, type Member } from '../../src/core/cluster-config.js';
import type { Effect, Input } from '../../src/core/effects.js';
import { hashHex } from '../../src/core/hash.js';
import { type LogOp, type LogPosition, type LogSegment, logAfter, logStart } from '../../src/core/holdings-log.js';
import {
  type HostId,
  parseClusterId,
  parseHostId,
  parseKey,
  parseNonce,
  parseParcelId,
  parsePeerName,
  parseStoreId,
  type SourceId,
  type StoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { Machine } from '../../src/core/machine.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import { NO_CHANGE } from '../helpers/no-change.js';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const MINUTE_MS = 60_000;
const COPIES = 2;
/** The speed of one fetch, in bytes per second. */
const RATE = 100 * MIB;
const EVENTS_PER_SECOND_GOAL = 100_000;
const BYTES_PER_PARCEL_GOAL = 200;
const SIGNATURE = new Uint8Array(64);

const name = (text: string): string => hashHex(Buffer.from(text));

interface BenchHost {
  readonly id: HostId;
  readonly store: StoreId;
  readonly machine: Machine;
  readonly cancelled: Set<number>;
  readonly ops: LogOp[];
  position: LogPosition;
  usedBytes: number;
  /** The one timer that the machine has asked for. */
  wakeAtMs: number;
  up: boolean;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Events by time, then by order of arrival: a binary heap. */
class EventQueue {
  readonly #events: Event[] = [];

  push(event: Event): void {
    const events = this.#events;
    let at = events.length;
    events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = events[parent] as Event;
      if (!comesBefore(event, above)) break;
      events[at] = above;
      at = parent;
    }
    events[at] = event;
  }

  /** The first event if it is due by `limitMs`. */
  take(limitMs: number): Event | undefined {
    const events = this.#events;
    const first = events[0];
    if (first === undefined || first.atMs > limitMs) return undefined;
    const last = events.pop() as Event;
    if (events.length === 0) return first;
    let at = 0;
    for (let child = 1; child < events.length; child = 2 * at + 1) {
      if (child + 1 < events.length && comesBefore(events[child + 1] as Event, events[child] as Event)) child += 1;
      if (!comesBefore(events[child] as Event, last)) break;
      events[at] = events[child] as Event;
      at = child;
    }
    events[at] = last;
    return first;
  }
}

const comesBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** How slow this computer is now, measured by a short loop that is repeated: 1 when it has nothing else to do. */
class Yardstick {
  static readonly #LOOPS = 20_000;
  #leastMs = Number.POSITIVE_INFINITY;
  #sumMs = 0;
  #count = 0;
  #sink = 0;

  measure(): void {
    const beganMs = performance.now();
    let x = this.#sink;
    for (let i = 0; i < Yardstick.#LOOPS; i += 1) x = (Math.imul(x, 31) + i) | 0;
    this.#sink = x;
    const tookMs = performance.now() - beganMs;
    this.#leastMs = Math.min(this.#leastMs, tookMs);
    this.#sumMs += tookMs;
    this.#count += 1;
  }

  /** The mean over the measurements since the last call. */
  slowness(): number {
    const slowness = this.#sumMs / this.#count / this.#leastMs;
    this.#sumMs = 0;
    this.#count = 0;
    return slowness;
  }
}

/** Steps between two runs of the loop: some milliseconds. */
const YARDSTICK_EVERY = 200;

/** Machines in virtual time on perfect disks, and a network that only delays. */
class Fleet {
  nowMs = 1_000_000;
  steps = 0;
  spentMs = 0;
  readonly yardstick = new Yardstick();
  readonly hosts: BenchHost[] = [];
  readonly #byId = new Map<HostId, BenchHost>();
  readonly #bytes = new Map<string, number>();
  readonly #queue = new EventQueue();
  readonly #chance = new Chance([1, 2, 3]);
  readonly #config: ClusterConfig;
  readonly #source: SourceId;
  #order = 0;
  #seq = 0;

  constructor(hosts: number) {
    const members = Array.from({ length: hosts }, (_, i): Member => {
      const host = parseHostId(name(`host ${i}`).slice(0, 32));
      return {
        host,
        name: `h${i}`,
        peer: parsePeerName(`12D3Koo${'A'.repeat(45)}`),
        state: 'active',
        trust: 'trusted',
        domain: host,
        roaming: false,
      };
    });
    this.#source = sourceIdOf((members[0] as Member).host, 'photos');
    this.#config = {
      cluster: parseClusterId('c'.repeat(32)),
      version: 1,
      hash: 'a'.repeat(64),
      members,
      sources: [{ source: this.#source, copies: COPIES }],
      timing: DEFAULT_TIMING,
    };
    for (const member of members) this.#start(member);
    for (const a of this.hosts) {
      for (const b of this.hosts) if (a !== b) this.tell(a, { is: 'connected', nowMs: this.nowMs, host: b.id });
    }
    this.run(2 * MINUTE_MS);
  }

  #start({ host: id }: Member): void {
    const store = parseStoreId(name(`store of ${id}`).slice(0, 32));
    const chance = new Chance([this.#chance.uint32(), 1, 1]);
    const machine = new Machine({
      self: id,
      boot: 1,
      chance,
      nonces: () => parseNonce('0'.repeat(32)),
      config: this.#config,
      nowMs: this.nowMs,
      ranBeforeMs: 0,
    });
    const position = logStart(store, { counter: 1, random: '00'.repeat(8) });
    const host: BenchHost = {
      id,
      store,
      machine,
      cancelled: new Set(),
      ops: [],
      position,
      usedBytes: 0,
      wakeAtMs: Number.POSITIVE_INFINITY,
      up: true,
    };
    this.hosts.push(host);
    this.#byId.set(id, host);
    const { nowMs } = this;
    this.tell(host, { is: 'log', nowMs, segment: segmentAfter(host, 0) });
    this.tell(host, { is: 'store', nowMs, store, lentBytes: 100 * GIB, usedBytes: 0, draining: false, unread: false });
  }

  /** Every host learns at once of a head with this many more parcels of 1 MiB, each with its own key. */
  backUp(parcels: number): void {
    this.#seq += 1;
    const add = Array.from({ length: parcels }, (_, i): ParcelRef => {
      const id = parseParcelId(name(`parcel ${this.#seq} ${i}`));
      this.#bytes.set(id, MIB);
      return { id, key: parseKey(name(`key ${i}`).slice(0, 32)), bytes: MIB };
    });
    const head = { source: this.#source, seq: this.#seq, hash: name(`head ${this.#seq}`) };
    const change = { source: this.#source, head, ...NO_CHANGE, add };
    for (const host of this.hosts) this.tell(host, { is: 'wanted', nowMs: this.nowMs, ...change });
  }

  kill(host: BenchHost): void {
    host.up = false;
    for (const other of this.hosts) {
      if (other.up) this.tell(other, { is: 'disconnected', nowMs: this.nowMs, host: host.id });
    }
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    for (let event = this.#queue.take(endMs); event !== undefined; event = this.#queue.take(endMs)) {
      this.nowMs = event.atMs;
      event.run();
    }
    this.nowMs = endMs;
  }

  /** Runs until a live host sees no copy missing, and no live host pursues any parcel. */
  settle(withinMs: number): void {
    const endMs = this.nowMs + withinMs;
    const observer = this.hosts.find(({ up }) => up) as BenchHost;
    const isOver = (): boolean =>
      observer.machine.known.summary(this.#source).under === 0 &&
      this.hosts.every(({ up, machine }) => !up || machine.known.pending().pursuits === 0);
    do this.run(10_000);
    while (!isOver() && this.nowMs < endMs);
    if (!isOver()) throw new Error(`not settled: ${JSON.stringify(observer.machine.known.summary(this.#source))}`);
  }

  tell(host: BenchHost, input: Input): void {
    if (!host.up) return;
    this.steps += 1;
    if (this.steps % YARDSTICK_EVERY === 0) this.yardstick.measure();
    const beganMs = performance.now();
    const effects = host.machine.step(input);
    this.spentMs += performance.now() - beganMs;
    for (const effect of effects) this.#carryOut(host, effect);
  }

  #after(delayMs: number, run: () => void): void {
    this.#order += 1;
    this.#queue.push({ atMs: this.nowMs + delayMs, order: this.#order, run });
  }

  #delayMs(): number {
    return 5 + this.#chance.below(40);
  }

  #carryOut(host: BenchHost, effect: Effect): void {
    switch (effect.do) {
      case 'gossip': {
        const { message } = effect;
        for (const other of this.hosts) {
          if (other === host || !other.up) continue;
          this.#after(this.#delayMs(), () =>
            this.tell(other, { is: 'heard', nowMs: this.nowMs, from: host.id, message }),
          );
        }
        return;
      }
      case 'ask-state':
        this.#after(this.#delayMs(), () => this.#answerState(host, this.#byId.get(effect.host) as BenchHost));
        return;
      case 'fetch': {
        const bytes = this.#bytes.get(effect.parcel) ?? 0;
        this.#after(this.#delayMs() + (bytes / RATE) * 1000, () => {
          if (host.cancelled.delete(effect.fetch)) return;
          host.usedBytes += bytes;
          const segment = append(host, { op: 'add', parcel: effect.parcel });
          const { usedBytes } = host;
          const { fetch } = effect;
          this.tell(host, { is: 'fetched', nowMs: this.nowMs, fetch, receivedBytes: bytes, segment, usedBytes });
        });
        return;
      }
      case 'cancel-fetch':
        host.cancelled.add(effect.fetch);
        return;
      case 'keep-head': {
        const { store, source, seq } = effect;
        this.#after(3, () => {
          const segment = append(host, { op: 'head', source, seq });
          this.tell(host, { is: 'head-kept', nowMs: this.nowMs, store, source, segment });
        });
        return;
      }
      case 'wake': {
        const { atMs } = effect;
        host.wakeAtMs = atMs;
        if (atMs === Number.POSITIVE_INFINITY) return;
        this.#after(Math.max(0, atMs - this.nowMs), () => {
          if (host.wakeAtMs === atMs) this.tell(host, { is: 'wake', nowMs: this.nowMs });
        });
        return;
      }
      default:
        return;
    }
  }

  #answerState(host: BenchHost, other: BenchHost): void {
    const { nowMs } = this;
    if (other.up) {
      this.tell(host, { is: 'heard', nowMs, from: other.id, message: other.machine.heartbeat() });
      let seq = 0;
      for (const known of host.machine.known.positions()) if (known.host === other.id) seq = known.position.seq;
      this.tell(host, { is: 'log', nowMs, segment: segmentAfter(other, seq) });
    }
    this.tell(host, { is: 'state-answered', nowMs, host: other.id, ok: other.up });
  }
}

function append(host: BenchHost, op: LogOp): LogSegment {
  host.ops.push(op);
  host.position = logAfter(host.position, op);
  return { host: host.id, end: host.position, ops: [op], signature: SIGNATURE };
}

const segmentAfter = ({ id, position, ops }: BenchHost, seq: number): LogSegment => ({
  host: id,
  end: position,
  ops: ops.slice(seq),
  signature: SIGNATURE,
});

interface Shape {
  readonly hosts: number;
  readonly parcels: number;
}

interface Figure {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  readonly goal: number;
  readonly holds: boolean;
  readonly detail: string;
}

interface Spent {
  readonly steps: number;
  /** Of the process itself. */
  readonly spentMs: number;
  readonly slowness: number;
}

const rate = (figure: string, { steps, spentMs, slowness }: Spent): Figure => {
  const value = Math.round((steps * 1000) / spentMs);
  return {
    figure,
    value,
    unit: 'events/s',
    goal: EVENTS_PER_SECOND_GOAL,
    holds: value >= EVENTS_PER_SECOND_GOAL,
    detail: `${steps} events, ${(spentMs / 1000).toFixed(2)} s, of ${slowness.toFixed(1)} times that`,
  };
};

/** A fleet's three lives: everything is copied, nothing happens, one host is lost. */
function* measureFleet({ hosts, parcels }: Shape): IterableIterator<Figure> {
  const shape = `${hosts} hosts × ${parcels} parcels`;
  const fleet = new Fleet(hosts);
  const during = (what: () => void): Spent => {
    const { steps, spentMs, yardstick } = fleet;
    yardstick.measure();
    yardstick.slowness();
    what();
    yardstick.measure();
    const slowness = yardstick.slowness();
    return { steps: fleet.steps - steps, spentMs: (fleet.spentMs - spentMs) / slowness, slowness };
  };
  const first = during(() => {
    fleet.backUp(parcels);
    fleet.settle(60 * MINUTE_MS);
  });
  yield rate(`${shape}, first copies`, first);
  yield rate(
    `${shape}, settled`,
    during(() => fleet.run(20 * MINUTE_MS)),
  );
  const repaired = during(() => {
    fleet.kill(fleet.hosts.at(-1) as BenchHost);
    fleet.run(DEFAULT_TIMING.deadMs + 2 * hosts * 1000);
    fleet.settle(60 * MINUTE_MS);
  });
  yield rate(`${shape}, a host is lost`, repaired);
}

/** One machine that knows of everything: its parcels, and who of the others holds them. */
function measureMemory({ hosts, parcels }: Shape): Figure {
  if (global.gc === undefined) throw new Error('run with --expose-gc');
  const fleet = new Fleet(hosts);
  const [, observer] = fleet.hosts as [BenchHost, BenchHost];
  for (const host of fleet.hosts) host.up = host === observer;
  const source = sourceIdOf((fleet.hosts[0] as BenchHost).id, 'photos');
  const before = usedMemory();
  const { nowMs } = fleet;
  // In heaps and pages of the usual size, so that nothing of the test itself is kept.
  for (let from = 0; from < parcels; from += 1_000) {
    const add = Array.from({ length: Math.min(1_000, parcels - from) }, (_, i): ParcelRef => {
      const number = from + i;
      return {
        id: parseParcelId(name(`parcel ${number}`)),
        key: parseKey(name(`key ${number}`).slice(0, 32)),
        bytes: MIB,
      };
    });
    const seq = 1 + from / 1_000;
    const head = { source, seq, hash: name(`head ${seq}`) };
    observer.machine.step({
      is: 'wanted',
      nowMs,
      source,
      head,
      ...NO_CHANGE,
      add,
    });
    for (const [i, { id }] of add.entries()) {
      for (const shift of [0, 1]) {
        const holder = fleet.hosts[2 + ((i + shift) % (hosts - 2))] as BenchHost;
        const segment = append(holder, { op: 'add', parcel: id });
        holder.ops.length = 0;
        observer.machine.step({ is: 'log', nowMs, segment });
      }
    }
  }
  const value = Math.round((usedMemory() - before) / parcels);
  const summary = observer.machine.known.summary(source);
  if (summary.full !== parcels) throw new Error(`not all are held: ${JSON.stringify(summary)}`);
  return {
    figure: `${hosts} hosts × ${parcels} parcels, one machine`,
    value,
    unit: 'bytes/parcel',
    goal: BYTES_PER_PARCEL_GOAL,
    holds: value <= BYTES_PER_PARCEL_GOAL,
    detail: '',
  };
}

function usedMemory(): number {
  for (let i = 0; i < 3; i += 1) global.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const json = process.argv.includes('--json');
const only = process.argv.flatMap(argument => {
  const [, hosts, parcels] = /^(\d+)x(\d+)$/.exec(argument) ?? [];
  return hosts === undefined ? [] : [{ hosts: Number(hosts), parcels: Number(parcels) }];
});
const FLEETS = [
  { hosts: 5, parcels: 10_000 },
  { hosts: 30, parcels: 10_000 },
  { hosts: 200, parcels: 10_000 },
];

function tell(figure: Figure): void {
  if (json) {
    console.log(JSON.stringify(figure));
    return;
  }
  const value = figure.value.toLocaleString('en').padStart(12);
  console.log(
    `${figure.figure.padEnd(45)}${value} ${figure.unit.padEnd(13)} goal ${figure.goal.toLocaleString('en').padStart(7)}  ${figure.holds ? 'holds' : 'MISSED'}  ${figure.detail}`,
  );
}

for (const fleet of only.length > 0 ? only : FLEETS) for (const figure of measureFleet(fleet)) tell(figure);
if (only.length === 0) tell(measureMemory({ hosts: 30, parcels: 200_000 }));
