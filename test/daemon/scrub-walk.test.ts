/** Scrub walk: each parcel once in a cycle, over restarts, within its budget, and out of others' way. Days pass at once here. */
import { readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { type ParcelId, parseNonce, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { CATCH_UP, CEILING_BYTES_PER_S, FLOOR_BYTES_PER_S } from '../../src/daemon/scrub-pace.js';
import { ScrubWalk, type ScrubWalkOptions } from '../../src/daemon/scrub-walk.js';
import type { ScrubCycle } from '../../src/store/scrub-notes.js';
import type { Store } from '../../src/store/store.js';
import { grab, parcelOf } from '../helpers/test-parcels.js';
import { SILENT, TestHost } from '../store/real-store.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const CYCLE_MS = 30 * DAY_MS;
const GiB = 1024 ** 3;
const TiB = 1024 ** 4;
const ID = parseStoreId('77'.repeat(16));

const idsOf = (count: number) => Array.from({ length: count }, (_, n) => parseParcelId(hashHex(Buffer.from(`${n}`))));

/** A store's surroundings, in a time that passes only while the walk rests. */
class World {
  nowMs = 0;
  wallMs = 1_700_000_000_000;
  isMounted = true;
  answers = true;
  isBusy = false;
  reads: { readonly parcel: ParcelId; readonly atMs: number }[] = [];
  notes = new Map<string, ScrubCycle>();
  ended = new AbortController();
  /** Looked at after each rest. */
  isOver = (): boolean => false;
  readonly beganWallMs = this.wallMs;
  read: (parcel: ParcelId) => ReturnType<ScrubWalkOptions['reader']['possess']> = async () => new Map();

  optionsFor(store: ScrubWalkOptions['store'], changes: Partial<ScrubWalkOptions> = {}): ScrubWalkOptions {
    return {
      store,
      reader: {
        possess: ({ parcel }) => {
          this.reads.push({ parcel, atMs: this.wallMs - this.beganWallMs });
          return this.read(parcel);
        },
      },
      bytesOf: () => 0,
      nonce: () => parseNonce('0e'.repeat(16)),
      notes: { get: id => this.notes.get(id), note: async (id, cycle) => void this.notes.set(id, cycle) },
      cycleMs: () => CYCLE_MS,
      isMounted: () => this.isMounted,
      answers: () => this.answers,
      calls: () => ({ begun: 0, isBusy: this.isBusy }),
      isMoving: () => false,
      isPaused: () => false,
      clock: { nowMs: () => this.nowMs, wallMs: () => this.wallMs },
      pause: async (ms, signal) => {
        this.pass(ms);
        await breathe();
        if (this.isOver()) this.ended.abort(new Error('enough'));
        signal.throwIfAborted();
      },
      log: SILENT,
      ...changes,
    };
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.wallMs += ms;
  }

  /** Runs a walk until it is over, as one start of the service does. */
  async run(options: ScrubWalkOptions, isOver: () => boolean): Promise<ScrubWalk> {
    this.ended = new AbortController();
    this.isOver = isOver;
    const walk = new ScrubWalk(options);
    await walk.run(this.ended.signal);
    return walk;
  }

  readIds(): ParcelId[] {
    return this.reads.map(({ parcel }) => parcel);
  }
}

const aStore = (held: Set<ParcelId>): ScrubWalkOptions['store'] => ({
  id: ID,
  present: () => held.values(),
  isPresent: parcel => held.has(parcel),
  get presentCount() {
    return held.size;
  },
  rescanDue: false,
});

/** How it reads in a real store. */
const readerOf =
  (store: Store): World['read'] =>
  async parcel => {
    const read = await store.possess(parcel, { nonce: parseNonce('0e'.repeat(16)), holders: [] });
    return read.kind === 'whole' ? read.possessions : read.kind === 'corrupt' ? 'corrupt' : 'unreadable';
  };

test('after a restart it goes on behind its cursor: each parcel is read once in a cycle, and rot is found', async t => {
  const host = await TestHost.begin(t);
  let store = await host.mount();
  const parcels = Array.from({ length: 40 }, (_, n) => parcelOf(`content ${n}`));
  for (const parcel of parcels) await grab(store, parcel);
  const sorted = parcels.map(({ id }) => id).sort();
  const rotten = parcels.find(({ id }) => id === sorted[30]);
  const [blob = ''] = rotten?.blobs.map(one => one.blob) ?? [];
  // Of the same size and time as before.
  const path = join(host.storePath, '.blobs', blob.slice(0, 2), blob);
  const { atime, mtime, size } = statSync(path);
  writeFileSync(path, Buffer.alloc(size, 0x5a));
  utimesSync(path, atime, mtime);

  const world = new World();
  const options = () => world.optionsFor(store, { notes: host.index.scrubs });
  world.read = readerOf(store);
  for (const reads of [7, 8, 25]) {
    const walk = await world.run(options(), () => world.reads.length >= reads);
    t.is(world.reads.length, reads);
    t.true(walk.progress.done > 0 && walk.progress.endedMs === undefined);
    store = await host.restart(async () => world.pass(DAY_MS));
    world.read = readerOf(store);
  }
  const isThrough = () => host.index.scrubs.get(store.id)?.endedMs !== undefined;
  const walk = await world.run(options(), isThrough);
  t.deepEqual(world.readIds(), sorted);
  t.is(walk.progress.done, 1);
  t.false(store.isPresent(sorted[30] as ParcelId));
  t.true(readdirSync(join(host.storePath, '.trash'), { recursive: true }).some(name => String(name).includes(blob)));

  const firstEndedMs = walk.progress.endedMs;
  await world.run(options(), () => world.reads.length > sorted.length);
  t.true((world.reads.at(-1)?.atMs ?? 0) >= CYCLE_MS, 'the next cycle begins when the time of this one is over');
  await world.run(options(), () => host.index.scrubs.get(store.id)?.endedMs !== firstEndedMs);
  t.deepEqual(
    world.readIds().slice(sorted.length),
    sorted.filter(id => id !== sorted[30]),
  );
});

/** Runs whole cycles. @returns the bytes that were read a second, over all times between two reads */
async function ratesOf(world: World, parcels: number, bytes: number, untilMs: number) {
  const options = world.optionsFor(aStore(new Set(idsOf(parcels))), { bytesOf: () => bytes });
  const from = world.reads.length;
  await world.run(options, () => world.wallMs - world.beganWallMs >= untilMs);
  const reads = world.reads.slice(from);
  return reads.slice(1).map(({ atMs }, n) => (bytes * 1_000) / (atMs - (reads[n]?.atMs ?? 0)));
}

test('a large store is read evenly over the cycle, never at more than the named multiple of that', async t => {
  const world = new World();
  const bytes = 2 * GiB;
  const rates = await ratesOf(world, 1_000, bytes, CYCLE_MS);
  const spread = (1_000 * bytes) / (CYCLE_MS / 1_000);
  t.true(world.reads.length >= 980 && world.reads.length <= 1_001, `${world.reads.length}`);
  t.true(rates.every(rate => rate <= CATCH_UP * spread));
  for (const { parcel, atMs } of world.reads) {
    const dueMs = (Number.parseInt(parcel.slice(0, 8), 16) / 2 ** 32) * CYCLE_MS;
    t.true(atMs < dueMs + 2 * DAY_MS, 'nobody waits for long behind the day that is due');
  }
});

test('a host that was off catches up at that multiple, and is then on time; one that is on for 8 h a day keeps the cycle', async t => {
  const world = new World();
  const bytes = 2 * GiB;
  const spread = (1_000 * bytes) / (CYCLE_MS / 1_000);
  world.pass(1);
  await ratesOf(world, 1_000, bytes, DAY_MS);
  world.pass(10 * DAY_MS);
  const rates = await ratesOf(world, 1_000, bytes, 12 * DAY_MS);
  t.true(rates.every(rate => rate <= CATCH_UP * spread));
  t.true(rates.filter(rate => rate > (CATCH_UP - 0.5) * spread).length > rates.length * 0.9);

  const daily = new World();
  for (let day = 0; day < 30; day += 1) {
    const byNowMs = day * DAY_MS;
    await ratesOf(daily, 1_000, bytes, byNowMs + 8 * HOUR_MS);
    daily.pass(16 * HOUR_MS);
  }
  t.true(new Set(daily.readIds()).size > 970, `${daily.reads.length}`);
  t.is(new Set(daily.readIds()).size, daily.reads.length);
});

test('a small store is read at the floor and then left alone; no store is read above the ceiling', async t => {
  const small = new World();
  const rates = await ratesOf(small, 100, 64 * 1024, CYCLE_MS - 1);
  t.is(small.reads.length, 100);
  t.true(rates.every(rate => rate <= FLOOR_BYTES_PER_S && rate > FLOOR_BYTES_PER_S * 0.9));
  const huge = await ratesOf(new World(), 100, 10 * TiB, 100 * DAY_MS);
  t.true(huge.length > 0 && huge.every(rate => rate <= CEILING_BYTES_PER_S));
});

test('a busy disk is left alone until it is quiet, but not for longer than a day', async t => {
  const world = new World();
  const options = world.optionsFor(aStore(new Set(idsOf(10))), { bytesOf: () => 1 });
  world.isBusy = true;
  await world.run(options, () => world.nowMs > 20 * HOUR_MS);
  t.deepEqual(world.reads, []);
  world.isBusy = false;
  await world.run(options, () => world.reads.length === 2);
  world.isBusy = true;
  const fromMs = world.nowMs;
  await world.run(options, () => world.reads.length === 3);
  t.true(world.nowMs - fromMs >= DAY_MS);
  await world.run({ ...options, isMoving: () => true }, () => world.nowMs > fromMs + 30 * HOUR_MS);
  t.is(world.reads.length, 3, 'nor while copies are fetched or dropped');
  let begun = 0;
  const calls = () => ({ begun: begun++, isBusy: false });
  world.isBusy = false;
  await world.run({ ...options, calls }, () => world.nowMs > fromMs + 40 * HOUR_MS);
  t.is(world.reads.length, 3, 'nor between the calls of somebody else');
});

test('a paused host reads nothing, and goes on when the pause is over', async t => {
  const world = new World();
  let isPaused = true;
  const options = world.optionsFor(aStore(new Set(idsOf(20))), { isPaused: () => isPaused });
  await world.run(options, () => world.wallMs - world.beganWallMs > 3 * DAY_MS);
  t.is(world.reads.length, 0);
  isPaused = false;
  await world.run(options, () => world.reads.length === 20);
  t.is(world.reads.length, 20);
});

test('a store that hangs is left alone for as long as it does, and a read that it broke is made again', async t => {
  const world = new World();
  const options = world.optionsFor(aStore(new Set(idsOf(3))));
  world.answers = false;
  await world.run(options, () => world.nowMs > 100 * DAY_MS);
  t.deepEqual(world.reads, []);
  world.answers = true;
  world.read = async () => {
    world.answers = false;
    return 'unreadable';
  };
  await world.run(options, () => world.nowMs > 101 * DAY_MS);
  world.answers = true;
  world.read = async () => 'unreadable';
  // The time of this cycle is over: the next one begins at once.
  const noted: unknown[] = [];
  const isThrough = () => world.notes.get(ID)?.cursor === 'f'.repeat(64) && noted.push(world.notes.get(ID)) > 0;
  await world.run(options, isThrough);
  t.like(noted[0], { unread: 3, endedMs: undefined }, 'such a store has not been read through');
  const [first] = idsOf(3).sort();
  t.deepEqual(
    world.readIds(),
    [first, ...idsOf(3).sort()],
    'of a disk that answers, what it does not give is passed over',
  );
});

test('it ends when the store is no longer mounted, and waits while what it holds is read anew anyway', async t => {
  const world = new World();
  const options = world.optionsFor(aStore(new Set(idsOf(3))));
  world.isMounted = false;
  await world.run(options, () => false);
  world.isMounted = true;
  await world.run({ ...options, store: { ...options.store, rescanDue: true } }, () => world.nowMs > DAY_MS);
  t.deepEqual(world.reads, []);
});

test('the cycle of an empty store begins with its first parcel', async t => {
  const world = new World();
  const held = new Set<ParcelId>();
  const options = world.optionsFor(aStore(held));
  await world.run(options, () => world.nowMs > 10 * DAY_MS);
  t.is(world.notes.get(ID)?.endedMs, undefined);
  for (const id of idsOf(2)) held.add(id);
  await world.run(options, () => world.reads.length === 2 || world.nowMs > 11 * DAY_MS);
  t.is(world.reads.length, 2);
});

test('a wall clock that goes back stops nothing, and reads nothing twice', async t => {
  const world = new World();
  const options = world.optionsFor(aStore(new Set(idsOf(6))));
  await world.run(options, () => world.reads.length === 3);
  world.wallMs -= 400 * DAY_MS;
  const fromMs = world.nowMs;
  await world.run(options, () => world.notes.get(ID)?.endedMs !== undefined);
  t.deepEqual(world.readIds(), idsOf(6).sort());
  t.true(world.nowMs - fromMs < CYCLE_MS);
  world.wallMs -= 400 * DAY_MS;
  await world.run(options, () => world.reads.length === 7);
  t.true(world.nowMs - fromMs < CYCLE_MS);
});
