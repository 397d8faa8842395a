/** Room watch: when too little room is told, and when that is over. */
import test from 'ava';
import { parseHostId, type SourceId, sourceIdOf } from '../../src/core/ids.js';
import type { RoomWanted } from '../../src/core/room-wanted.js';
import { RoomWatch } from '../../src/daemon/room-watch.js';

const SOURCE = sourceIdOf(parseHostId('1'.repeat(32)), 'photos');
const ROOM: RoomWanted = { parcels: 1, bytes: 30_000_000, largestBytes: 30_000_000, freeBytes: 5_000_000 };
const PATIENCE_MS = 30_000;

function aWatch() {
  /** `turnMs`: how long each of the turns takes. */
  const state = { nowMs: 0, found: new Map<SourceId, RoomWanted>(), turns: 1, turnMs: 0 };
  const standing = new Map<string, string>();
  const watch = new RoomWatch({
    *roomWanted() {
      for (let turn = 1; turn < state.turns; turn += 1) {
        state.nowMs += state.turnMs;
        yield;
      }
      state.nowMs += state.turnMs;
      return state.found;
    },
    nameOf: () => 'photos',
    patienceMs: () => PATIENCE_MS,
    nowMs: () => state.nowMs,
    alarms: {
      raise: (code, _, text) => void standing.set(code, text),
      clear: code => void standing.delete(code),
    },
  });
  /** Looks once. @returns whether the alarm stands */
  const look = async (atMs: number, found: boolean): Promise<boolean> => {
    state.nowMs = atMs;
    state.found = new Map(found ? [[SOURCE, ROOM]] : []);
    await watch.look();
    return standing.has('TOO_LITTLE_ROOM');
  };
  return { look, standing, watch, state };
}

test('too little room is an alarm when each look has found it for long enough, and one that did not begins anew', async t => {
  const { look } = aWatch();
  t.false(await look(0, true));
  t.false(await look(PATIENCE_MS - 1, true));
  t.false(await look(PATIENCE_MS, false));
  t.false(await look(PATIENCE_MS + 1, true));
  t.false(await look(2 * PATIENCE_MS, true));
  t.true(await look(2 * PATIENCE_MS + 1, true));
});

test('it stands while somebody tries to make room, and is over when nothing was found for as long', async t => {
  const { look } = aWatch();
  await look(0, true);
  t.true(await look(PATIENCE_MS, true));
  t.true(await look(PATIENCE_MS + 1, false));
  t.true(await look(2 * PATIENCE_MS - 1, false));
  t.true(await look(2 * PATIENCE_MS, true));
  t.true(await look(3 * PATIENCE_MS - 1, false));
  t.false(await look(3 * PATIENCE_MS, false));
  t.false(await look(3 * PATIENCE_MS + 1, true));
});

test('its text says what lacks copies, what the largest needs, what there is, and what to do', async t => {
  const { look, standing, watch, state } = aWatch();
  await look(0, true);
  await look(PATIENCE_MS, true);
  t.is(
    standing.get('TOO_LITTLE_ROOM'),
    'source photos: 1 parcel has too few copies, and no host that could take it has room (30 MB in all): it needs 30 MB in one store, and the most that is free in one is 5 MB. The copies that exist are kept. Let a store lend more (`limit`, `reserve`), add a store on another host, or take fewer `copies`: the rest is then copied by itself',
  );
  state.found = new Map([[SOURCE, { ...ROOM, parcels: 3, bytes: 70_000_000 }]]);
  await watch.look();
  t.regex(standing.get('TOO_LITTLE_ROOM') ?? '', /1 parcel has/, 'the log would have a line for each look');
  state.nowMs += 60_000;
  await watch.look();
  t.regex(
    standing.get('TOO_LITTLE_ROOM') ?? '',
    /3 parcels have too few .* take them has room \(70 MB in all\): the largest needs 30 MB/,
  );
});

test('a look gives everybody else a turn, and says how long it kept them from one', async t => {
  const { look, watch, state } = aWatch();
  await look(0, true);
  state.turns = 100;
  state.turnMs = 4;
  // What runs between two turns also takes its time.
  const keptMs: number[] = [];
  let lastMs = state.nowMs;
  const between = (): void => {
    keptMs.push(state.nowMs - lastMs);
    state.nowMs += 1_000;
    lastMs = state.nowMs;
    next = setImmediate(between);
  };
  let next = setImmediate(between);
  const tookMs = await watch.look();
  clearImmediate(next);
  t.is(tookMs, 400);
  t.true(keptMs.length >= 30 && keptMs.every(ms => ms <= 12), keptMs.join());
});

test('a look that the end of the service comes between tells nothing', async t => {
  const { look, watch, state, standing } = aWatch();
  await look(0, true);
  state.nowMs = PATIENCE_MS;
  state.turns = 10;
  state.turnMs = 10;
  const looking = watch.look();
  watch.stop();
  await looking;
  t.is(standing.size, 0);
});
