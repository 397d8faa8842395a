/** Take over: what becomes of an offer for which the room that was kept is no longer there. */
import test from 'ava';
import { Fitting } from '../../src/core/fitting.js';
import { Holdings } from '../../src/core/holdings.js';
import { parseHostId, parseKey, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { ParcelTable, type Row } from '../../src/core/parcel-table.js';
import { Pursuing, type PursuingContext } from '../../src/core/pursuing.js';
import { Room } from '../../src/core/room.js';
import { RULES } from '../../src/core/rules.js';
import { MIB } from '../helpers/small-world.js';

const self = parseHostId('1'.repeat(32));
const origin = parseHostId('2'.repeat(32));
const store = parseStoreId('3'.repeat(32));

/** A host that could take a parcel over. */
function aTaker() {
  const table = new ParcelTable();
  const room = new Room();
  room.measured({ store, lentBytes: 1_000 * MIB, usedBytes: 0, draining: false, unread: false });
  const row = table.describe({ id: parseParcelId('a'.repeat(64)), key: parseKey('b'.repeat(32)), bytes: 500 * MIB }, 0);
  const kept = new Map<Row, { readonly store: typeof store; readonly needBytes: number }>();
  const relocating = {
    roomFor: (one: Row) => kept.get(one),
    giveRoomBack: (one: Row) => {
      if (kept.delete(one)) room.release(store, 500 * MIB);
    },
  };
  const shared = {
    self,
    table,
    room,
    relocating,
    holdings: new Holdings(table, { ...RULES, self, isListed: () => true, onGivenUp: () => undefined }),
    nowMs: () => 0,
    emit: () => undefined,
    marks: { mark: () => undefined, lookAgain: () => undefined },
  };
  const pursuing = new Pursuing({
    ...shared,
    fitting: new Fitting(shared),
    here: { isHeldToStay: () => false, isReadable: () => false },
    member: () => ({ state: 'active', trust: 'trusted' }),
    wanted: { originsOf: () => [origin], knownOriginOf: () => origin },
    hosts: { get: () => undefined },
  } as unknown as PursuingContext);
  const reservedBytes = () => [...room.stores()][0]?.reservedBytes;
  return { room, row, kept, pursuing, reservedBytes };
}

test('a parcel is not taken over into room that was kept for it and that the disk has refused since', t => {
  const { room, row, kept, pursuing, reservedBytes } = aTaker();
  // Refused once, and by now believed again to have what it lends: so room is kept there.
  room.refused(store, 100 * MIB, 0);
  t.true(room.liftCeilings(room.dueMs));
  t.true(room.reserveIfFree(store, 500 * MIB));
  kept.set(row, { store, needBytes: 500 * MIB });
  // A fetch that was under way is refused after all.
  room.refused(store, 10 * MIB, room.dueMs);
  t.false(pursuing.takeOver(row));
  t.is(reservedBytes(), 0);
});

test('a paused host takes nothing over', t => {
  const { row, pursuing, reservedBytes } = aTaker();
  pursuing.pause(true);
  t.false(pursuing.takeOver(row));
  t.is(reservedBytes(), 0);
});
