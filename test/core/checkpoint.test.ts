import test from 'ava';
import fc from 'fast-check';
import {
  type Checkpoint,
  type CheckpointPiece,
  ContentsChain,
  ContentsChange,
  checkpointMessage,
  contentsOf,
  isCheckpointDue,
  piecesOf,
} from '../../src/core/checkpoint.js';
import { hashHex } from '../../src/core/hash.js';
import { Holdings } from '../../src/core/holdings.js';
import { type Epoch, type LogOp, type LogSegment, logAfterAll, logStart } from '../../src/core/holdings-log.js';
import {
  type ParcelId,
  parseHostId,
  parseParcelId,
  parseStoreId,
  type SourceId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { ParcelTable, type Row, type StoreSlot } from '../../src/core/parcel-table.js';
import { RULES } from '../../src/core/rules.js';
import { law } from '../helpers/law.js';

const host = parseHostId('a'.repeat(32));
const store = parseStoreId('b'.repeat(32));
const EPOCH: Epoch = { counter: 1, random: '00'.repeat(8) };
const parcel = (i: number) => parseParcelId(hashHex(Buffer.from(String(i))));
const add = (i: number): LogOp => ({ op: 'add', parcel: parcel(i) });
const del = (i: number): LogOp => ({ op: 'del', parcel: parcel(i) });
const head = (name: string, seq: number): LogOp => ({ op: 'head', source: sourceIdOf(host, name), seq });
const signature = new Uint8Array(64);

/** The position after these operations, which are the log from its beginning. */
const after = (ops: readonly LogOp[], epoch = EPOCH) => logAfterAll(logStart(store, epoch), ops);

const segment = (ops: readonly LogOp[], from = 0, epoch = EPOCH): LogSegment => ({
  host,
  end: after(ops, epoch),
  ops: ops.slice(from),
  signature,
});

function stateAfter(ops: readonly LogOp[]) {
  const present = new Set<ParcelId>();
  const heads = new Map<SourceId, number>();
  for (const op of ops) {
    if (op.op === 'head') heads.set(op.source, Math.max(op.seq, heads.get(op.source) ?? 0));
    else if (op.op === 'add') present.add(op.parcel);
    else present.delete(op.parcel);
  }
  return { present, heads };
}

/** The checkpoint after these operations, in pieces of so many. */
function pieces(ops: readonly LogOp[], opsMax = 2, epoch = EPOCH): CheckpointPiece[] {
  const { present, heads } = stateAfter(ops);
  return piecesWith([...contentsOf(present, heads)], ops, opsMax, epoch);
}

function piecesWith(contents: readonly LogOp[], ops: readonly LogOp[], opsMax = 2, epoch = EPOCH): CheckpointPiece[] {
  const chain = new ContentsChain(after(ops, epoch));
  chain.take(contents);
  const checkpoint: Checkpoint = { host, ...chain.base, signature };
  return [...piecesOf(checkpoint, contents, opsMax)];
}

/** Remembers which copies ever went. */
class WatchedTable extends ParcelTable {
  readonly unheld: Row[] = [];

  override setHeld(row: Row, slot: StoreSlot, held: boolean): void {
    if (!held && this.isHeldBy(row, slot)) this.unheld.push(row);
    super.setHeld(row, slot, held);
  }
}

function fresh() {
  const table = new WatchedTable();
  return {
    table,
    holdings: new Holdings(table, { ...RULES, self: host, isListed: () => true, onGivenUp: () => undefined }),
  };
}

const held = ({ table }: ReturnType<typeof fresh>): ParcelId[] => [...table.heldBy(0)].map(row => table.id(row)).sort();
const parcels = (...numbers: readonly number[]): ParcelId[] => numbers.map(parcel).sort();

const outcomes = ({ holdings }: ReturnType<typeof fresh>, all: readonly CheckpointPiece[]) =>
  all.map(piece => holdings.take(piece).outcome);

test('pieces of a checkpoint count for nothing until the last has come, and then all at once', t => {
  const view = fresh();
  const ops = [add(1), add(2), add(3), add(4), del(4), head('photos', 3), head('photos', 5)];
  const all = pieces(ops);
  t.deepEqual(
    outcomes(view, all.slice(0, -1)),
    all.slice(1).map(() => 'collected'),
  );
  t.deepEqual(held(view), []);
  t.is(view.holdings.position(0).seq, 0);
  t.is(view.holdings.take(all.at(-1) as CheckpointPiece).outcome, 'extended');
  t.deepEqual(held(view), parcels(1, 2, 3));
  t.is(view.holdings.headSeq(0, sourceIdOf(host, 'photos')), 5);
  t.deepEqual(view.holdings.position(0), after(ops));
  t.is(view.holdings.apply(segment([...ops, add(9)], ops.length)).outcome, 'extended');
});

test('a copy that is in the log and in the checkpoint never counts as gone; what changed is told', t => {
  const view = fresh();
  const ops = [add(1), add(2), add(3)];
  view.holdings.apply(segment(ops));
  const later = [...ops, del(2), add(4)];
  const applied = pieces(later)
    .map(piece => view.holdings.take(piece))
    .at(-1);
  t.deepEqual(held(view), parcels(1, 3, 4));
  t.deepEqual(view.table.unheld, [view.table.find(parcel(2))]);
  if (applied?.outcome !== 'extended') return t.fail();
  t.deepEqual(applied.rows.map(row => view.table.id(row)).sort(), parcels(2, 4));
});

test('a checkpoint that is behind what was read, or equal to it, is known', t => {
  const view = fresh();
  const ops = [add(1), add(2), del(1)];
  view.holdings.apply(segment(ops));
  t.deepEqual(outcomes(view, pieces(ops.slice(0, 2))), ['known']);
  t.deepEqual(outcomes(view, pieces(ops)), ['known']);
  t.deepEqual(held(view), parcels(2));
});

test('an equal position with another digest is another log', t => {
  const view = fresh();
  view.holdings.apply(segment([add(1), add(2)]));
  t.deepEqual(view.holdings.take(pieces([add(1), add(3)])[0] as CheckpointPiece), {
    outcome: 'ask',
    because: 'mismatch',
  });
});

test('a greater epoch replaces the log in one step, a lesser one is stale', t => {
  const view = fresh();
  const [older, newer] = [
    { ...EPOCH, counter: 1 },
    { ...EPOCH, counter: 5 },
  ];
  view.holdings.apply(segment([add(1), add(2), head('a', 4)], 0, older));
  const all = pieces([add(2), add(3), add(4)], 2, newer);
  t.deepEqual(outcomes(view, all), ['collected', 'extended']);
  t.deepEqual(held(view), parcels(2, 3, 4));
  t.deepEqual(view.table.unheld, [view.table.find(parcel(1))]);
  t.is(view.holdings.headSeq(0, sourceIdOf(host, 'a')), 0, 'of an epoch that was given up');
  t.deepEqual(outcomes(view, pieces([add(1), add(7), add(8), add(9)], 9, older)), ['stale']);
});

test('a piece that leaves a gap, or has no beginning, is asked for again; one that came twice is taken once', t => {
  const view = fresh();
  const all = pieces([1, 2, 3, 4, 5, 6].map(add));
  const [one, two, three] = all as [CheckpointPiece, CheckpointPiece, CheckpointPiece];
  const gap = { outcome: 'ask', because: 'gap' } as const;
  t.deepEqual(view.holdings.take(two), gap);
  t.deepEqual(outcomes(view, [one]), ['collected']);
  t.deepEqual(view.holdings.take(three), gap);
  t.deepEqual(outcomes(view, [one, two, two, one, three]), [...'1234'].map(() => 'collected').concat('extended'));
  t.is(held(view).length, 6);
});

test('of two checkpoints the one that is begun last is read, and pieces of the other are refused', t => {
  const view = fresh();
  const ops = [1, 2, 3, 4].map(add);
  const [one, two] = [pieces(ops), pieces([...ops, add(5)])] as [CheckpointPiece[], CheckpointPiece[]];
  t.deepEqual(outcomes(view, [...one.slice(0, 1), ...two.slice(0, 1)]), ['collected', 'collected']);
  t.is(view.holdings.take(one[1] as CheckpointPiece).outcome, 'ask');
  t.deepEqual(outcomes(view, two.slice(1)), ['collected', 'extended']);
  t.is(held(view).length, 5);
});

test('a log that is read anew forgets the half of a checkpoint, and so does one that has gone further', t => {
  for (const end of ['restart', 'segment'] as const) {
    const view = fresh();
    const ops = [1, 2, 3].map(add);
    const all = pieces(ops);
    view.holdings.take(all[0] as CheckpointPiece);
    if (end === 'restart') view.holdings.restart(host, store);
    else view.holdings.apply(segment(ops));
    t.is(view.holdings.take(all[1] as CheckpointPiece).outcome, end === 'restart' ? 'ask' : 'known');
  }
});

const ORDERED = [...contentsOf([1, 2, 3].map(parcel), [[sourceIdOf(host, 'a'), 1]])];
for (const [what, forged] of [
  ['in another order', [ORDERED[1], ORDERED[0], ORDERED[2], ORDERED[3]]],
  ['with a head before an add', [ORDERED[3], ORDERED[0], ORDERED[1], ORDERED[2]]],
  ['with an operation twice', [ORDERED[0], ORDERED[0], ORDERED[1], ORDERED[2]]],
  ['with one that ends a copy', [ORDERED[0], { op: 'del', parcel: parcel(7) }]],
] as const) {
  test(`contents ${what} are refused, though their digest was signed`, t => {
    const view = fresh();
    const ops = [1, 2, 3].map(add);
    view.holdings.apply(segment([add(1)]));
    const [piece] = piecesWith([...forged] as LogOp[], ops, 9);
    t.deepEqual(view.holdings.take(piece as CheckpointPiece), { outcome: 'ask', because: 'forged' });
    t.deepEqual(held(view), parcels(1));
  });
}

test('contents that do not make the digest, or are more than were signed, change nothing; the next reading is a new one', t => {
  const view = fresh();
  const ops = [1, 2, 3, 4].map(add);
  view.holdings.apply(segment([add(9)]));
  const all = pieces(ops, 4);
  const [right] = all as [CheckpointPiece];
  const other = [...contentsOf([1, 2, 3, 5].map(parcel), [])];
  t.is(view.holdings.take({ ...right, ops: other }).outcome, 'ask');
  const more = [...contentsOf([1, 2, 3, 4, 5].map(parcel), [])];
  t.is(view.holdings.take({ ...right, ops: more }).outcome, 'ask');
  t.deepEqual(held(view), parcels(9));
  t.deepEqual(outcomes(view, all), ['extended']);
});

test('a checkpoint without contents is one piece without operations', t => {
  const view = fresh();
  const ops = [add(1), add(2), del(1), del(2)];
  view.holdings.apply(segment(ops.slice(0, 2)));
  const all = pieces(ops);
  t.deepEqual(
    all.map(({ ops: some }) => some.length),
    [0],
  );
  t.deepEqual(outcomes(view, all), ['extended']);
  t.deepEqual(held(view), []);
});

test('a digest of contents is good for one position of one log only', t => {
  const digests = [
    after([add(1)]),
    after([add(1), add(2)]),
    after([add(2)]),
    after([add(1)], { ...EPOCH, counter: 2 }),
    { ...after([add(1)]), store: parseStoreId('c'.repeat(32)) },
  ].map(at => {
    const chain = new ContentsChain(at);
    chain.take([add(1)]);
    return chain.base.digest;
  });
  t.is(new Set(digests).size, digests.length);
});

test('what is signed tells hosts, positions, numbers and digests apart', t => {
  const { base } = new ContentsChain(after([add(1)]));
  const messages = [
    checkpointMessage(host, base),
    checkpointMessage(parseHostId('c'.repeat(32)), base),
    checkpointMessage(host, { ...base, count: 1 }),
    checkpointMessage(host, { ...base, digest: 'ff'.repeat(32) }),
    checkpointMessage(host, { ...base, at: after([add(2)]) }),
  ];
  t.is(new Set(messages.map(message => Buffer.from(message).toString('hex'))).size, messages.length);
});

test('a checkpoint is due after so many operations, and where more is held, after as many', t => {
  const due = (opsSince: number, baseOps: number, isHeld = 5) =>
    isCheckpointDue({ opsSince, baseOps, held: isHeld, everyOps: 100 });
  t.deepEqual([due(99, 0), due(100, 0), due(100, 100), due(100, 101), due(101, 101)], [false, true, true, false, true]);
  t.deepEqual([due(100, 0, 1 << 22), due(100, 0, (1 << 22) + 1)], [true, false]);
});

const anOp = fc.oneof(
  fc
    .tuple(fc.constantFrom('add', 'add', 'del', 'corrupt'), fc.integer({ min: 0, max: 20 }))
    .map(([op, i]): LogOp => ({ op, parcel: parcel(i) }) as LogOp),
  fc.tuple(fc.constantFrom('a', 'b'), fc.integer({ min: 1, max: 9 })).map(([name, seq]) => head(name, seq)),
);

test('law: a checkpoint anywhere in a log, and the operations after it, make the same holdings as the whole log', t => {
  law(
    t,
    fc.property(
      fc.array(anOp, { minLength: 1, maxLength: 40 }),
      fc.nat(40),
      fc.nat(40),
      fc.integer({ min: 1, max: 9 }),
      (ops, cut, read, opsMax) => {
        const whole = fresh();
        whole.holdings.apply(segment(ops));
        const view = fresh();
        view.holdings.apply(segment(ops.slice(0, Math.min(read, ops.length))));
        const at = Math.max(1, Math.min(cut, ops.length));
        for (const piece of pieces(ops.slice(0, at), opsMax)) view.holdings.take(piece);
        view.holdings.apply(segment(ops, Math.min(at, ops.length)));
        const sources = ['a', 'b'].map(name => sourceIdOf(host, name));
        return (
          view.holdings.position(0).digest === whole.holdings.position(0).digest &&
          held(view).join() === held(whole).join() &&
          sources.every(source => view.holdings.headSeq(0, source) === whole.holdings.headSeq(0, source))
        );
      },
    ),
  );
});

test('law: the contents after some operations are those that the whole log makes', t => {
  law(
    t,
    fc.property(fc.array(anOp, { maxLength: 40 }), fc.nat(40), (ops, cut) => {
      const before = stateAfter(ops.slice(0, cut));
      const { present, heads } = stateAfter(ops);
      const change = new ContentsChange();
      change.take(ops.slice(cut));
      const carriedOn = [...change.appliedTo(contentsOf(before.present, before.heads))];
      return JSON.stringify(carriedOn) === JSON.stringify([...contentsOf(present, heads)]);
    }),
  );
});
