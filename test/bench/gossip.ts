/**
 * Gossip: what a frame costs and how long it takes between real services, on loopback, compared with the simulator's
 * network. All services are in one process and send the same heartbeat in turn.
 */
import { Socket } from 'node:net';
import type { ExecutionContext } from 'ava';
import { YOUNG_LOST_ONE_IN } from '../../sim/network.js';
import { World } from '../../sim/world.js';
import { parseStoreId } from '../../src/core/ids.js';
import type { Heartbeat } from '../../src/core/messages.js';
import { connect, type Host, House, until } from '../net/fleet.js';

/** Heartbeats of each host, and the time between two of them over all hosts, in ms. */
const ROUNDS = 12;
const EVERY_MS = 60;
/** Time until every mesh has formed and everything that is sent only once was sent, in ms. */
const FORM_MS = 4_000;
/** GossipSub sends its own messages once a second: their share is measured over this long, in ms. */
const QUIET_MS = 5_000;
/** A frame that has not come within this time is lost, in ms. */
const LATE_MS = 3_000;

export interface GossipCost {
  /** Bytes on the wire for one frame and one host that receives it, without GossipSub's own messages. */
  readonly bytesPerFrame: number;
  /** GossipSub's own messages, in and out of one host, in bytes per second. */
  readonly quietBytesPerS: number;
  /** The median delay from sending to receiving, in ms. */
  readonly delayMs: number;
  /** The fraction of frames, sent as soon as two hosts were connected, that the other did not receive. */
  readonly lostAtStart: number;
}

const heartbeat = (configVersion: number): Heartbeat => ({
  kind: 'heartbeat',
  boot: 1,
  bootId: 'ab'.repeat(8),
  stores: [
    {
      position: {
        store: parseStoreId('12'.repeat(16)),
        epoch: { counter: 1_700_000_000_000, random: 'cd'.repeat(8) },
        seq: 12_345,
        digest: 'ef'.repeat(32),
      },
      lentBytes: 4e12,
      usedBytes: 1e12,
      weightMiB: 4_000_000,
      unread: false,
    },
  ],
  configVersion,
  headsDigest: 'ab'.repeat(32),
  paceBytesPerS: 1e8,
});

/** Ends what a test's teardown would end. */
class Ends {
  readonly #ends: (() => unknown)[] = [];

  teardown(end: () => unknown): void {
    this.#ends.push(end);
  }

  async run(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

/** Bytes sent and received over the connections that this process dialled: each has its other end here, too. */
function countBytes(): { readonly bytes: () => number; readonly end: () => void } {
  const sockets = new Set<Socket>();
  const connectBefore = Socket.prototype.connect;
  Socket.prototype.connect = function connectCounted(this: Socket, ...args: unknown[]) {
    sockets.add(this);
    return (connectBefore as (...all: unknown[]) => Socket).apply(this, args);
  } as typeof connectBefore;
  return {
    bytes: () => [...sockets].reduce((total, { bytesRead, bytesWritten }) => total + bytesRead + bytesWritten, 0),
    end: () => {
      Socket.prototype.connect = connectBefore;
    },
  };
}

export async function realGossip(count: number): Promise<GossipCost> {
  const ends = new Ends();
  const counter = countBytes();
  try {
    const house = new House(ends as unknown as ExecutionContext);
    const hosts = await house.clique(count, { hosts: count });
    await pause(FORM_MS);
    const quietBefore = counter.bytes();
    await pause(QUIET_MS);
    const quietPerMs = (counter.bytes() - quietBefore) / QUIET_MS;

    const saidMs = new Map<number, number>();
    const delays: number[] = [];
    for (const { net } of hosts) {
      net.onGossip((_from, message) => {
        const atMs = message.kind === 'heartbeat' ? saidMs.get(message.configVersion) : undefined;
        if (atMs !== undefined) delays.push(performance.now() - atMs);
      });
    }
    const before = counter.bytes();
    const startMs = performance.now();
    for (let frame = 1; frame <= ROUNDS * count; frame += 1) {
      const { net } = hosts[frame % count] as Host;
      saidMs.set(frame, performance.now());
      await net.publish(heartbeat(frame));
      await pause(EVERY_MS);
    }
    await pause(1_000);
    const bytes = counter.bytes() - before - quietPerMs * (performance.now() - startMs);
    delays.sort((a, b) => a - b);
    return {
      bytesPerFrame: bytes / (ROUNDS * count * (count - 1)),
      quietBytesPerS: (2 * quietPerMs * 1_000) / count,
      delayMs: delays[Math.floor(delays.length / 2)] ?? Number.POSITIVE_INFINITY,
      lostAtStart: await lossAtStart(house),
    };
  } finally {
    counter.end();
    await ends.run();
  }
}

/** For pairs that have just met: how many of the frames that each sends at once the other does not receive. */
async function lossAtStart(house: House): Promise<number> {
  const pairs = 12;
  let lost = 0;
  for (let pair = 0; pair < pairs; pair += 1) {
    const [a, b] = [await house.host(), await house.host()];
    let heard = 0;
    b.net.onGossip(from => {
      if (from === a.net.peer) heard += 1;
    });
    await connect(a.net, b.net);
    await a.net.publish(heartbeat(1));
    await until(() => heard > 0, 'the frame', LATE_MS).catch(() => {
      lost += 1;
    });
    await Promise.all([a.net.stop(), b.net.stop()]);
  }
  return lost / pairs;
}

/**
 * The simulator's figures: the bytes that it counts for a frame and a host, its delay, and its losses on young links.
 */
export function modelledGossip(count: number): GossipCost {
  const world = new World({ seed: 1 });
  world.addHosts(count);
  world.run(FORM_MS * 10);
  const { network } = world;
  const { delayMs } = network;
  const before = { bytes: network.gossipBytesReceived, sent: network.gossipSent };
  world.run(600_000);
  const frames = network.gossipSent - before.sent;
  const received = network.gossipBytesReceived - before.bytes;
  // For heartbeats with one store, which is all that an idle cluster sends.
  return {
    bytesPerFrame: received / (frames * (count - 1)),
    quietBytesPerS: 0,
    delayMs: (delayMs.least + delayMs.most) / 2,
    lostAtStart: 1 / YOUNG_LOST_ONE_IN,
  };
}
