import test from 'ava';
import { Fitting } from '../../src/core/fitting.js';
import { Holdings } from '../../src/core/holdings.js';
import { parseHostId, parseKey, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { ParcelTable, type Row } from '../../src/core/parcel-table.js';
import { Room } from '../../src/core/room.js';
import { RULES } from '../../src/core/rules.js';
import { MIB } from '../helpers/small-world.js';

test('room that is free brings up what it is enough for, and nothing larger is looked at', t => {
  const self = parseHostId('1'.repeat(32));
  const store = parseStoreId('2'.repeat(32));
  const table = new ParcelTable();
  const room = new Room();
  const lend = (bytes: number) => room.measured({ store, lentBytes: bytes, usedBytes: 0, draining: false });
  lend(0);
  let looks = 0;
  const marked: Row[] = [];
  const fitting = new Fitting({
    self,
    table,
    room,
    holdings: new Holdings(table, { ...RULES, self, isListed: () => true, onGivenUp: () => undefined }),
    relocating: () => ({
      roomFor: () => {
        looks += 1;
        return undefined;
      },
    }),
    nowMs: () => 0,
    emit: () => undefined,
    mark: row => void marked.push(row),
    lookAgain: () => undefined,
  });
  const rows = Array.from({ length: 100 }, (_, i) => {
    const id = parseParcelId(i.toString(16).padStart(64, '0'));
    return table.describe({ id, key: parseKey(i.toString(16).padStart(32, '0')), bytes: (100 - i) * MIB }, 0);
  });
  for (const row of rows) fitting.lacks(row);
  fitting.roomIsFree();
  t.is(looks, 0);
  lend(3 * MIB);
  for (let times = 0; times < 2; times += 1) {
    fitting.roomIsFree();
    t.deepEqual(marked.splice(0), rows.slice(97).reverse());
  }
  t.is(looks, 6);
  fitting.lacksNoMore(rows[99] as Row);
  fitting.roomIsFree();
  t.deepEqual(marked.splice(0), [rows[98], rows[97]]);
  fitting.lacks(rows[99] as Row);
  fitting.roomIsFree();
  t.deepEqual(marked, rows.slice(97).reverse());
});
