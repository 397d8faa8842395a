/** Room watch: when too little room is told, and when that is over. */
import test from 'ava';
import { parseHostId, type SourceId, sourceIdOf } from '../../src/core/ids.js';
import type { RoomWanted } from '../../src/core/room-wanted.js';
import { RoomWatch } from '../../src/daemon/room-watch.js';

const SOURCE = sourceIdOf(parseHostId('1'.repeat(32)), 'photos');
const ROOM: RoomWanted = { parcels: 1, bytes: 30_000_000, largestBytes: 30_000_000, freeBytes: 5_000_000 };
const PATIENCE_MS = 30_000;

function aWatch() {
  const state = { nowMs: 0, found: new Map<SourceId, RoomWanted>() };
  const standing = new Map<string, string>();
  const watch = new RoomWatch({
    roomWanted: () => state.found,
    nameOf: () => 'photos',
    patienceMs: () => PATIENCE_MS,
    nowMs: () => state.nowMs,
    alarms: {
      raise: (code, _, text) => void standing.set(code, text),
      clear: code => void standing.delete(code),
    },
  });
  /** Looks once. @returns whether the alarm stands */
  const look = (atMs: number, found: boolean): boolean => {
    state.nowMs = atMs;
    state.found = new Map(found ? [[SOURCE, ROOM]] : []);
    watch.look();
    return standing.has('TOO_LITTLE_ROOM');
  };
  return { look, standing, watch, state };
}

test('too little room is an alarm when each look has found it for long enough, and one that did not begins anew', t => {
  const { look } = aWatch();
  t.false(look(0, true));
  t.false(look(PATIENCE_MS - 1, true));
  t.false(look(PATIENCE_MS, false));
  t.false(look(PATIENCE_MS + 1, true));
  t.false(look(2 * PATIENCE_MS, true));
  t.true(look(2 * PATIENCE_MS + 1, true));
});

test('it stands while somebody tries to make room, and is over when nothing was found for as long', t => {
  const { look } = aWatch();
  look(0, true);
  t.true(look(PATIENCE_MS, true));
  t.true(look(PATIENCE_MS + 1, false));
  t.true(look(2 * PATIENCE_MS - 1, false));
  t.true(look(2 * PATIENCE_MS, true));
  t.true(look(3 * PATIENCE_MS - 1, false));
  t.false(look(3 * PATIENCE_MS, false));
  t.false(look(3 * PATIENCE_MS + 1, true));
});

test('its text says what lacks copies, what the largest needs, what there is, and what to do', t => {
  const { look, standing, watch, state } = aWatch();
  look(0, true);
  look(PATIENCE_MS, true);
  t.is(
    standing.get('TOO_LITTLE_ROOM'),
    'source photos: 1 parcel has too few copies, and no host that could take it has room (30 MB in all): it needs 30 MB in one store, and the most that is free in one is 5 MB. The copies that exist are kept. Let a store lend more (`limit`, `reserve`), add a store on another host, or take fewer `copies`: the rest is then copied by itself',
  );
  state.found = new Map([[SOURCE, { ...ROOM, parcels: 3, bytes: 70_000_000 }]]);
  watch.look();
  t.regex(standing.get('TOO_LITTLE_ROOM') ?? '', /1 parcel has/, 'the log would have a line for each look');
  state.nowMs += 60_000;
  watch.look();
  t.regex(
    standing.get('TOO_LITTLE_ROOM') ?? '',
    /3 parcels have too few .* take them has room \(70 MB in all\): the largest needs 30 MB/,
  );
});
