import test from 'ava';
import fc from 'fast-check';
import { hashHex } from '../../src/core/hash.js';
import { Holdings, type HoldingsContext } from '../../src/core/holdings.js';
import {
  compareEpochs,
  decodeOp,
  type Epoch,
  encodeOp,
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logAfterAll,
  logStart,
  MalformedOp,
} from '../../src/core/holdings-log.js';
import {
  MalformedId,
  parseHostId,
  parseParcelId,
  parseSourceId,
  parseStoreId,
  type SourceId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { ParcelTable } from '../../src/core/parcel-table.js';
import { RULES } from '../../src/core/rules.js';
import { law } from '../helpers/law.js';

const host = parseHostId('a'.repeat(32));
const store = parseStoreId('b'.repeat(32));
const parcel = (i: number) => parseParcelId(hashHex(Buffer.from(String(i))));
const add = (i: number): LogOp => ({ op: 'add', parcel: parcel(i) });

/** The segment after `from` of a log with these operations. */
function segment(ops: readonly LogOp[], from = 0, epoch: Epoch = { counter: 1, random: '00'.repeat(8) }): LogSegment {
  let end = logStart(store, epoch);
  for (const op of ops) end = logAfter(end, op);
  return { host, end, ops: ops.slice(from), signature: new Uint8Array(64) };
}

function fresh(others: Partial<HoldingsContext> = {}) {
  const table = new ParcelTable();
  return {
    table,
    holdings: new Holdings(table, {
      ...RULES,
      self: host,
      isListed: () => true,
      onGivenUp: () => undefined,
      ...others,
    }),
  };
}

const held = ({ table }: ReturnType<typeof fresh>, i: number) => {
  const row = table.find(parcel(i));
  return row !== undefined && table.isHeldBy(row, 0);
};

test('each operation is chained by the hash of the digest before it and its canonical bytes', t => {
  const head: LogOp = { op: 'head', source: parseSourceId(`${host}/photos`), seq: 7 };
  const ops: LogOp[] = [add(1), { op: 'del', parcel: parcel(1) }, head, { op: 'corrupt', parcel: parcel(2) }, add(3)];
  const start = logStart(store, { counter: 1, random: '00'.repeat(8) });
  let { digest } = start;
  for (const op of ops) digest = hashHex(Buffer.concat([Buffer.from(digest, 'hex'), encodeOp(op)]));
  t.deepEqual(logAfterAll(start, ops), { ...start, seq: ops.length, digest });
  t.deepEqual(ops.reduce(logAfter, start), { ...start, seq: ops.length, digest });
});

test('law: the chain is made of what operations are encoded as, however long their sources and numbers are', t => {
  const start = logStart(store, { counter: 1, random: '00'.repeat(8) });
  const seq = fc.oneof(
    ...[24, 0x100, 0x1_0000, 0x1_0000_0000, Number.MAX_SAFE_INTEGER].map(max => fc.integer({ min: 1, max })),
  );
  const name = fc.integer({ min: 1, max: 300 }).map(length => 'é'.repeat(length % 7) + 'n'.repeat(length));
  law(
    t,
    fc.property(name, seq, (name, seq) => {
      const op: LogOp = { op: 'head', source: `${host}/${name}` as SourceId, seq };
      const digest = hashHex(Buffer.concat([Buffer.from(start.digest, 'hex'), encodeOp(op)]));
      return logAfter(start, op).digest === digest;
    }),
    { numRuns: 1_000 },
  );
});

test('a log is carried on, overlap and repetition are known, a gap is asked for', t => {
  const view = fresh();
  const ops = [add(1), add(2), add(3)];
  t.is(view.holdings.apply(segment(ops.slice(0, 1))).outcome, 'extended');
  t.is(view.holdings.apply(segment(ops.slice(0, 2), 0)).outcome, 'extended');
  t.is(view.holdings.apply(segment(ops.slice(0, 2), 1)).outcome, 'known');
  t.deepEqual(view.holdings.apply(segment([...ops, add(4)], 3)), { outcome: 'ask', because: 'gap' });
  t.true(held(view, 2));
  t.false(held(view, 4));
});

test('a segment whose chain does not fit counts for nothing', t => {
  const view = fresh();
  view.holdings.apply(segment([add(1)]));
  t.deepEqual(view.holdings.apply(segment([add(9), add(2)], 1)), { outcome: 'ask', because: 'mismatch' });
  t.false(held(view, 2));
  view.holdings.restart(host, store);
  t.false(held(view, 1), 'after a restart of the log nothing is believed');
  t.is(view.holdings.apply(segment([add(9), add(2)])).outcome, 'extended');
  t.true(held(view, 9));
});

test('`del` and `corrupt` end a copy', t => {
  const view = fresh();
  view.holdings.apply(
    segment([add(1), add(2), { op: 'del', parcel: parcel(1) }, { op: 'corrupt', parcel: parcel(2) }]),
  );
  t.false(held(view, 1));
  t.false(held(view, 2));
});

test('a greater epoch replaces the log, a lower one is not believed', t => {
  const view = fresh();
  const newer = { counter: 5, random: '00'.repeat(8) };
  view.holdings.apply(segment([add(1), add(2)]));
  t.is(view.holdings.apply(segment([add(2)], 0, newer)).outcome, 'extended');
  t.false(held(view, 1));
  t.true(held(view, 2));
  t.is(view.holdings.apply(segment([add(1), add(2), add(3)])).outcome, 'stale');
  t.false(held(view, 3));
});

test('a greater epoch replaces a log of more parcels than a call takes arguments', t => {
  const { holdings, table } = fresh();
  const count = 150_000;
  const ops = Array.from(
    { length: count },
    (_, i): LogOp => ({ op: 'add', parcel: parseParcelId(i.toString(16).padStart(8, '0').repeat(8)) }),
  );
  const { end, ...first } = segment([]);
  holdings.apply({ ...first, ops, end: logAfterAll(end, ops) });
  t.is([...table.heldBy(0)].length, count);
  const later = holdings.apply(segment([add(1)], 0, { counter: 2, random: '00'.repeat(8) }));
  t.is(later.outcome === 'extended' && later.rows.length, count + 1);
  t.is([...table.heldBy(0)].length, 1);
});

test('a position before what was read, or of a lower epoch, is known as such; the same and one further on are not', t => {
  const view = fresh();
  const [one, two, three] = [[add(1)], [add(1), add(2)], [add(1), add(2), add(3)]].map(ops => segment(ops).end) as [
    LogPosition,
    LogPosition,
    LogPosition,
  ];
  t.false(view.holdings.isPast(host, one), 'nothing was read yet');
  view.holdings.apply(segment([add(1), add(2)]));
  t.true(view.holdings.isPast(host, one));
  t.false(view.holdings.isPast(host, two));
  t.false(view.holdings.isPast(host, three));
  view.holdings.apply(segment([add(2)], 0, { counter: 5, random: '00'.repeat(8) }));
  t.true(view.holdings.isPast(host, three));
});

test('a host that names another’s store writes a log of its own and takes nothing away', t => {
  const view = fresh();
  const squatter = { ...segment([add(9)]), host: parseHostId('c'.repeat(32)) };
  view.holdings.apply(squatter);
  t.is(view.holdings.apply(segment([add(1), add(2)])).outcome, 'extended');
  const slot = view.holdings.slotOf(host, store) ?? -1;
  t.is(view.holdings.hostOf(slot), host);
  t.true(view.table.isHeldBy(view.table.find(parcel(2)) ?? -1, slot));
  t.false(view.table.isHeldBy(view.table.find(parcel(9)) ?? -1, slot));
});

/** A log with one parcel, of the n-th store of another host. */
function floodOf(n: number): LogSegment {
  const end = logAfter(
    logStart(parseStoreId(n.toString(16).padStart(32, '0')), { counter: n, random: '00'.repeat(8) }),
    add(n),
  );
  return { host: parseHostId('c'.repeat(32)), end, ops: [add(n)], signature: new Uint8Array(64) };
}

test('of another host so many logs are read, and one more only in place of a store that it has no more; of this host all', t => {
  const listed = new Set([1, 2, 3].map(n => floodOf(n).end.store));
  const givenUp: number[] = [];
  const view = fresh({
    isListed: (_, of) => listed.has(of),
    onGivenUp: slot => givenUp.push(slot),
    limits: { logs: 3, parcels: 100, sources: 1 },
  });
  for (const n of [1, 2, 3]) t.is(view.holdings.apply(floodOf(n)).outcome, 'extended');
  t.is(view.holdings.apply(floodOf(4)).outcome, 'too-many');
  t.is(view.holdings.size, 3);
  t.is(view.table.find(parcel(4)), undefined);

  listed.delete(floodOf(2).end.store);
  const { logsBegun } = view.holdings;
  t.is(view.holdings.apply(floodOf(4)).outcome, 'extended');
  t.deepEqual([view.holdings.size, view.holdings.logsBegun, givenUp], [3, logsBegun + 1, [1]]);
  t.is(view.holdings.slotOf(parseHostId('c'.repeat(32)), floodOf(2).end.store), undefined);
  t.deepEqual(view.holdings.position(1), floodOf(4).end);
  t.deepEqual(
    [2, 4].map(n => view.table.isHeldBy(view.table.find(parcel(n)) ?? -1, 1)),
    [false, true],
  );
  for (const n of [5, 6, 7, 8]) t.is(view.holdings.apply({ ...floodOf(n), host }).outcome, 'extended');
});

test('of the parcels and sources that only another host names, so many are remembered', t => {
  const others = parseHostId('c'.repeat(32));
  const view = fresh({ limits: { logs: 3, parcels: 2, sources: 1 } });
  view.table.rowOf(parcel(9));
  const heads = ['x', 'y'].map((name): LogOp => ({ op: 'head', source: sourceIdOf(others, name), seq: 1 }));
  const del: LogOp = { op: 'del', parcel: parcel(8) };
  const { end, ops } = segment([add(1), add(2), del, add(3), add(9), ...heads]);
  t.is(view.holdings.apply({ host: others, end, ops, signature: new Uint8Array(64) }).outcome, 'extended');
  t.deepEqual(
    [1, 2, 3, 8, 9].map(n => held(view, n)),
    [true, true, false, false, true],
    'what is known already counts all the same',
  );
  t.is(view.table.size, 3);
  t.deepEqual(
    ['x', 'y'].map(name => view.holdings.headSeq(0, sourceIdOf(others, name))),
    [1, 0],
  );
  t.deepEqual(view.holdings.position(0), end, 'and the log is read on');
  view.holdings.apply(segment([add(4), add(5), add(6)]));
  t.is(view.table.size, 6, 'of this host all');
});

test('the highest head of each source is remembered', t => {
  const view = fresh();
  const source = parseSourceId(`${host}/photos`);
  view.holdings.apply(
    segment([
      { op: 'head', source, seq: 3 },
      { op: 'head', source, seq: 2 },
    ]),
  );
  t.is(view.holdings.headSeq(0, source), 3);
});

test('law: however a log is cut into segments, the holdings come out the same', t => {
  const op = fc.tuple(fc.constantFrom('add', 'del', 'corrupt'), fc.integer({ min: 0, max: 8 }));
  law(
    t,
    fc.property(
      fc.array(op, { maxLength: 30 }),
      fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 8 }),
      (raw, cuts) => {
        const ops = raw.map(([kind, i]) => ({ op: kind, parcel: parcel(i) }) as LogOp);
        const whole = fresh();
        whole.holdings.apply(segment(ops));
        const cut = fresh();
        let from = 0;
        for (const end of [...cuts.filter(at => at < ops.length).sort((a, b) => a - b), ops.length]) {
          cut.holdings.apply(segment(ops.slice(0, end), Math.max(0, from - 1)));
          from = end;
        }
        return Array.from({ length: 9 }, (_, i) => held(whole, i) === held(cut, i)).every(Boolean);
      },
    ),
  );
});

test('operations survive a round trip, and arbitrary bytes raise only the named errors', t => {
  const ops: LogOp[] = [add(1), { op: 'head', source: parseSourceId(`${host}/photos`), seq: 7 }];
  for (const op of ops) t.deepEqual(decodeOp(encodeOp(op)), op);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
      try {
        decodeOp(bytes);
        return true;
      } catch (error) {
        return error instanceof MalformedOp || error instanceof MalformedId;
      }
    }),
  );
});

test('of two epochs the greater counter is later, and of equal counters the greater random', t => {
  t.true(compareEpochs({ counter: 1, random: 'ff' }, { counter: 2, random: '00' }) < 0);
  t.true(compareEpochs({ counter: 2, random: 'ff' }, { counter: 2, random: '00' }) > 0);
  t.is(compareEpochs({ counter: 2, random: '00' }, { counter: 2, random: '00' }), 0);
});
