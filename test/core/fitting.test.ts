import test from 'ava';
import { Fitting } from '../../src/core/fitting.js';
import { Holdings } from '../../src/core/holdings.js';
import { parseHostId, parseKey, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { ParcelTable, type Row } from '../../src/core/parcel-table.js';
import { Room } from '../../src/core/room.js';
import { RULES } from '../../src/core/rules.js';
import { MIB } from '../helpers/small-world.js';

/** Parcels of 100 MiB down to 1 MiB, none of which is held, and a store that lends nothing yet. */
function aFitting() {
  const self = parseHostId('1'.repeat(32));
  const store = parseStoreId('2'.repeat(32));
  const table = new ParcelTable();
  const room = new Room();
  const lend = (lentBytes: number, { usedBytes = 0, draining = false } = {}) =>
    room.measured({ store, lentBytes, usedBytes, draining, unread: false });
  lend(0);
  const state = { looks: 0 };
  const marked: Row[] = [];
  const fitting = new Fitting({
    self,
    table,
    room,
    holdings: new Holdings(table, { ...RULES, self, isListed: () => true, onGivenUp: () => undefined }),
    relocating: {
      roomFor: () => {
        state.looks += 1;
        return undefined;
      },
    },
    nowMs: () => 0,
    emit: () => undefined,
    marks: { mark: row => void marked.push(row), lookAgain: () => undefined },
  });
  const rows = Array.from({ length: 100 }, (_, i) => {
    const id = parseParcelId(i.toString(16).padStart(64, '0'));
    return table.describe({ id, key: parseKey(i.toString(16).padStart(32, '0')), bytes: (100 - i) * MIB }, 0);
  });
  return { fitting, rows, marked, lend, state, store };
}

test('room that is free brings up what it is enough for, and nothing larger is looked at', t => {
  const { fitting, rows, marked, lend, state } = aFitting();
  for (const row of rows) fitting.lacks(row);
  fitting.roomIsFree();
  t.is(state.looks, 0);
  lend(3 * MIB);
  for (let times = 0; times < 2; times += 1) {
    fitting.roomIsFree();
    t.deepEqual(marked.splice(0), rows.slice(97).reverse());
  }
  t.is(state.looks, 6);
  fitting.lacksNoMore(rows[99] as Row);
  fitting.roomIsFree();
  t.deepEqual(marked.splice(0), [rows[98], rows[97]]);
  fitting.lacks(rows[99] as Row);
  fitting.roomIsFree();
  t.deepEqual(marked, rows.slice(97).reverse());
});

test('room is lacking for what a store could take if it held less, and not for what is larger than every store', t => {
  const { fitting, rows, lend } = aFitting();
  const [huge, , middling] = rows as [Row, Row, Row];
  lend(98 * MIB, { usedBytes: 98 * MIB });
  t.false(fitting.lacksRoom);
  fitting.lacks(huge);
  t.false(fitting.lacksRoom);
  fitting.lacks(middling);
  t.true(fitting.lacksRoom);
  fitting.lacksNoMore(middling);
  t.false(fitting.lacksRoom);
  fitting.lacks(middling);
  t.true(fitting.lacksRoom);
  lend(98 * MIB, { usedBytes: 98 * MIB, draining: true });
  t.false(fitting.lacksRoom);
  fitting.lacksNoMore(middling);
  lend(100 * MIB, { usedBytes: 98 * MIB });
  t.true(fitting.lacksRoom);
});

test('what a store has of a parcel says nothing of what another one would have to take', t => {
  const { fitting, rows, lend, store } = aFitting();
  lend(1_000 * MIB);
  const [row = -1] = rows;
  const other = parseStoreId('3'.repeat(32));
  t.false(fitting.lacksNothing({ row, store }));
  fitting.measured({
    is: 'measured',
    nowMs: 0,
    parcel: parseParcelId('0'.repeat(64)),
    store,
    missingBytes: 0,
    atHand: true,
  });
  t.true(fitting.lacksNothing({ row, store }));
  t.false(fitting.lacksNothing({ row, store: other }));
});
