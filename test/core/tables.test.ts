import { randomBytes } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { ByteIndex } from '../../src/core/byte-index.js';
import { Chance } from '../../src/core/chance.js';
import type { ClusterConfig } from '../../src/core/cluster-config.js';
import { hash } from '../../src/core/hash.js';
import { parseHostId, parseKey, parseParcelId, sourceIdOf } from '../../src/core/ids.js';
import { MinQueue } from '../../src/core/min-queue.js';
import { FLAG, ParcelTable, type Row } from '../../src/core/parcel-table.js';
import { RowNumbers } from '../../src/core/row-numbers.js';
import { RowSet } from '../../src/core/row-set.js';
import { Wanted } from '../../src/core/wanted.js';
import { law } from '../helpers/law.js';

const parcelId = (i: number) => parseParcelId(Buffer.from(hash(Buffer.from(String(i)))).toString('hex'));

test('a byte index gives each string one dense number, for ever', t => {
  const index = new ByteIndex(32, { capacity: 2 });
  const keys = Array.from({ length: 5000 }, (_, i) => hash(Buffer.from(String(i))));
  for (const [i, key] of keys.entries()) t.is(index.add(key), i);
  for (const [i, key] of keys.entries()) {
    t.is(index.add(key), i);
    t.is(index.find(key), i);
    t.deepEqual(new Uint8Array(index.at(i)), key);
  }
  t.is(index.find(hash(Buffer.from('unknown'))), -1);
});

test('… and takes as long for those that somebody has chosen as for those that are hashes', t => {
  const STRINGS = 30_000;
  const msOf = (keys: readonly Uint8Array[], secret?: Int32Array): number => {
    const index = new ByteIndex(32, { secret });
    const startMs = performance.now();
    for (const key of keys) index.add(key);
    for (const [i, key] of keys.entries()) if (index.find(key) !== i) throw new Error(`string ${i} is not found`);
    return performance.now() - startMs;
  };
  const hashes = Array.from({ length: STRINGS }, (_, i) => hash(Buffer.from(String(i))));
  const numbered = (byte: number) =>
    Array.from({ length: STRINGS }, (_, i) => {
      const key = Buffer.alloc(32, byte);
      key.writeUInt32LE(i, 28);
      return key;
    });
  const secret = new Int32Array(new Uint8Array(randomBytes(64)).buffer);
  msOf(hashes, secret);
  const usualMs = Math.max(5, msOf(hashes, secret));
  // Each look at all of the others would take a thousand times as long.
  for (const byte of [0, 255]) for (const by of [secret, undefined]) t.true(msOf(numbered(byte), by) < 30 * usualMs);
});

test('a min queue gives items in order of priority and stops at the limit', t => {
  law(
    t,
    fc.property(fc.array(fc.integer({ min: 0, max: 1000 })), priorities => {
      const queue = new MinQueue();
      for (const [item, priority] of priorities.entries()) queue.push(item, priority);
      const taken: number[] = [];
      for (let item = queue.take(500); item !== undefined; item = queue.take(500)) taken.push(priorities[item] ?? -1);
      const expected = priorities.filter(priority => priority <= 500).sort((a, b) => a - b);
      return taken.join() === expected.join() && queue.size === priorities.length - expected.length;
    }),
  );
});

test('law: a row set has what a set of numbers would have', t => {
  const what = fc.record({ act: fc.constantFrom('add', 'delete', 'take'), row: fc.nat(300) });
  law(
    t,
    fc.property(fc.array(what, { maxLength: 300 }), happenings => {
      const rows = new RowSet();
      const model = new Set<number>();
      for (const { act, row } of happenings) {
        if (act === 'add') {
          rows.add(row);
          model.add(row);
        } else if (act === 'delete') {
          rows.delete(row);
          model.delete(row);
        } else {
          const taken = rows.take();
          if (taken === undefined ? model.size > 0 : !model.delete(taken)) return false;
        }
        if (rows.has(row) !== model.has(row) || rows.size !== model.size) return false;
      }
      const left = Array.from({ length: rows.size }, (_, place) => rows.at(place));
      return left.length === model.size && left.every(row => model.has(row));
    }),
  );
});

test('law: row numbers are what a map of numbers would be', t => {
  const what = fc.record({ act: fc.constantFrom('set', 'delete'), row: fc.nat(300), number: fc.nat() });
  law(
    t,
    fc.property(fc.array(what, { maxLength: 300 }), happenings => {
      const numbers = new RowNumbers();
      const model = new Map<number, number>();
      for (const { act, row, number } of happenings) {
        if (act === 'set') {
          numbers.set(row, number);
          model.set(row, number);
        } else {
          numbers.delete(row);
          model.delete(row);
        }
        if (numbers.rows.size !== model.size || numbers.rows.has(row) !== model.has(row)) return false;
      }
      return Array.from({ length: 301 }, (_, row) => row).every(row =>
        Object.is(numbers.get(row), model.get(row) ?? Number.NaN),
      );
    }),
  );
});

test('the rows that are short are known without looking at all', t => {
  const table = new ParcelTable();
  for (let i = 0; i < 200; i += 1) table.setShortSince(table.rowOf(parcelId(i)), 5);
  for (let i = 0; i < 200; i += 1) if (i % 3 !== 0) table.setShortSince(i, Number.NaN);
  t.is(table.short.size, 67);
  for (let i = 0; i < 200; i += 1) t.is(table.short.has(i), i % 3 === 0);
});

test('a table of parcels keeps what it is told while it grows, with more stores than one word holds', t => {
  const table = new ParcelTable();
  for (let i = 0; i < 3000; i += 1) {
    const row = table.describe({ id: parcelId(i), key: parseKey(parcelId(i % 7).slice(0, 32)), bytes: i }, 0);
    table.setHeld(row, i % 70, true);
    table.set(row, FLAG.wanted, i % 2 === 0);
  }
  for (let i = 0; i < 3000; i += 1) {
    const row = table.find(parcelId(i)) ?? -1;
    t.is(table.bytes(row), i);
    t.deepEqual(table.holders(row, []), [i % 70]);
    t.is(table.has(row, FLAG.wanted), i % 2 === 0);
    t.is(table.id(row), parcelId(i));
  }
  t.is([...table.familyOf(0)].length, Math.ceil(3000 / 7) - 1);
  t.is([...table.heldBy(69)].length, Math.floor(3000 / 70));
});

test('a parcel heard of before its page keeps its holders when the page comes', t => {
  const table = new ParcelTable();
  const row = table.rowOf(parcelId(1));
  table.setHeld(row, 40, true);
  t.is(table.source(row), -1);
  t.is(table.describe({ id: parcelId(1), key: parseKey('a'.repeat(32)), bytes: 5 }, 3), row);
  t.true(table.isHeldBy(row, 40));
  t.is(table.source(row), 3);
});

test('chance is the same for the same seed, and jitter stays within its bounds', t => {
  const draw = () => {
    const chance = new Chance([1, 2, 3]);
    return Array.from({ length: 50 }, () => chance.uint32());
  };
  t.deepEqual(draw(), draw());
  const chance = new Chance([9, 9, 9]);
  for (let i = 0; i < 1000; i += 1) {
    const value = chance.jitter(1000, 20);
    t.true(value >= 800 && value <= 1200);
  }
});

test('however many sources there are, each says how many copies are wanted of its parcels', t => {
  const table = new ParcelTable();
  const wanted = new Wanted(table);
  const sources = Array.from({ length: 33_000 }, (_, n) => sourceIdOf(parseHostId('0a'.repeat(16)), `source${n}`));
  wanted.configure({ sources: sources.map(source => ({ source, copies: 3 })) } as unknown as ClusterConfig);
  const rows = sources.map((source, n) =>
    wanted.list(source, { id: parcelId(n), key: parseKey('0b'.repeat(16)), bytes: 1 }),
  );
  t.true(rows.every(row => wanted.copiesWanted(row as Row) === 3));
});
