import test, { type ExecutionContext } from 'ava';
import { open } from 'lmdb';
import { type CheckpointPiece, ContentsChain, ContentsChange, piecesOf } from '../../src/core/checkpoint.js';
import { hashHex } from '../../src/core/hash.js';
import {
  type Epoch,
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logAfterAll,
  logStart,
} from '../../src/core/holdings-log.js';
import { type HostId, parseHostId, parseParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import type { LogArchive } from '../../src/store/log-archive.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const writer = parseHostId('aa'.repeat(16));
const store = parseStoreId('5a'.repeat(16));
const add = (byte: string): LogOp => ({ op: 'add', parcel: parseParcelId(byte.repeat(32)) });

function segmentOf(host: HostId, counter: number, ops: readonly LogOp[]): LogSegment {
  const start = logStart(store, { counter, random: '00'.repeat(8) });
  return { host, end: ops.reduce(logAfter, start), ops, signature: new Uint8Array(64) };
}

test('a host that names another’s store has a log of its own there, and takes and hides nothing, whoever was first', async t => {
  const { logs } = await archive(t);
  const squatter = parseHostId('bb'.repeat(16));
  t.is(await logs.append(segmentOf(squatter, 9, [add('03')])), 'appended');
  t.is(await logs.append(segmentOf(writer, 1, [add('01'), add('02')])), 'appended');
  t.deepEqual(logs.segment(writer, store, 0, 100)?.ops, [add('01'), add('02')]);
  t.deepEqual(logs.segment(squatter, store, 0, 100)?.ops, [add('03')]);
  t.deepEqual(
    [...logs.stores()].map(({ host, position }) => [host, position.seq]),
    [
      [writer, 2],
      [squatter, 1],
    ],
  );
  await logs.drop(squatter, store);
  t.is(logs.position(squatter, store), undefined);
  t.is(logs.position(writer, store)?.seq, 2);
});

test('of one host 64 logs are kept, those of which only pieces came among them, and of others all the same', async t => {
  const { logs } = await archive(t);
  const ofStore = (n: number, host = writer): LogSegment => {
    const start = logStart(parseStoreId(n.toString(16).padStart(32, '0')), { counter: 1, random: '00'.repeat(8) });
    return { host, end: logAfter(start, add('01')), ops: [add('01')], signature: new Uint8Array(64) };
  };
  const [half] = new Log(manyOps(40)).pieces(40, 8) as [CheckpointPiece];
  t.is(await logs.takePiece(half), 'collected');
  for (let n = 1; n <= 63; n += 1) t.is(await logs.append(ofStore(n)), 'appended');
  t.is(await logs.append(ofStore(64)), 'full');
  const other = parseStoreId('5b'.repeat(16));
  t.is(
    await logs.takePiece({ ...half, checkpoint: { ...half.checkpoint, at: { ...half.checkpoint.at, store: other } } }),
    'full',
  );
  t.is(await logs.append(ofStore(64, parseHostId('bb'.repeat(16)))), 'appended');
  t.is(await logs.append(ofStore(63)), 'known');

  await logs.keepOnly(writer, new Set([ofStore(2).end.store]));
  t.deepEqual(
    [...logs.stores()].filter(({ host }) => host === writer).map(({ position }) => position.store),
    [ofStore(2).end.store],
  );
  t.is([...logs.stores()].length, 2);
  for (let n = 3; n <= 65; n += 1) t.is(await logs.append(ofStore(n)), 'appended', 'what was half there has gone, too');
});

test('logs that an earlier build kept by store alone are let go', async t => {
  const folder = temporaryFolder(t);
  const tables = async <T>(look: (root: ReturnType<typeof open>) => Promise<T>): Promise<T> => {
    const root = open({ path: folder, maxDbs: 128, noSubdir: false, keyEncoding: 'binary' });
    try {
      return await look(root);
    } finally {
      await root.close();
    }
  };
  const names = () => tables(async root => [...root.getKeys()].map(String).filter(name => /^log-/.test(name)));
  await tables(root => root.openDB({ name: 'log-heads', keyEncoding: 'binary' }).put(Buffer.alloc(16), 'old'));
  t.is((await names()).length, 1);
  const index = openIndexDatabase(folder);
  t.deepEqual([...index.logs.stores()], []);
  await index.close();
  t.deepEqual(await names(), []);
});

/** A writer's log of these operations, and the checkpoint after some of them. */
class Log {
  readonly epoch: Epoch;
  readonly ops: readonly LogOp[];

  constructor(ops: readonly LogOp[], counter = 1) {
    this.ops = ops;
    this.epoch = { counter, random: '00'.repeat(8) };
  }

  positionAt(seq: number): LogPosition {
    return logAfterAll(logStart(store, this.epoch), this.ops.slice(0, seq));
  }

  segment(from: number, to: number): LogSegment {
    const signature = Buffer.alloc(64, `end ${to} `);
    return { host: writer, end: this.positionAt(to), ops: this.ops.slice(from, to), signature };
  }

  contentsAt(seq: number): LogOp[] {
    const change = new ContentsChange();
    change.take(this.ops.slice(0, seq));
    return [...change.appliedTo([])];
  }

  pieces(seq: number, opsMax?: number): CheckpointPiece[] {
    const contents = this.contentsAt(seq);
    const chain = new ContentsChain(this.positionAt(seq));
    chain.take(contents);
    const checkpoint = { host: writer, ...chain.base, signature: Buffer.alloc(64, `checkpoint ${seq} `) };
    return [...piecesOf(checkpoint, contents, opsMax)];
  }

  /** As one says to who has read past it. */
  statement(seq: number): CheckpointPiece {
    return { ...(this.pieces(seq)[0] as CheckpointPiece), ops: [] };
  }
}

const parcel = (n: number) => parseParcelId(hashHex(Buffer.from(`parcel ${n}`)));
/** Three of four stay, and a head now and then. */
const manyOps = (count: number): LogOp[] =>
  Array.from({ length: count }, (_, n): LogOp => {
    if (n % 50 === 49) return { op: 'head', source: sourceIdOf(parseHostId('aa'.repeat(16)), `s${n % 3}`), seq: n };
    return n % 4 === 3 ? { op: 'del', parcel: parcel(n - 2) } : { op: 'add', parcel: parcel(n) };
  });

async function archive(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const opened = { index: openIndexDatabase(folder) };
  t.teardown(() => opened.index.close());
  return {
    get logs() {
      return opened.index.logs;
    },
    restart: async () => {
      await opened.index.close();
      opened.index = openIndexDatabase(folder);
    },
  };
}

async function takeAll(logs: LogArchive, pieces: readonly CheckpointPiece[]): Promise<string[]> {
  const verdicts: string[] = [];
  for (const piece of pieces) verdicts.push(await logs.takePiece(piece));
  return verdicts;
}

/** What the archive would tell of the log to whoever has nothing: contents, then operations. */
function told(logs: LogArchive, opsMax = 1_000) {
  const contents = [...logs.pieces(writer, store)].flatMap(({ ops }) => ops);
  const ops: LogOp[] = [];
  const base = logs.checkpoint(writer, store)?.at.seq ?? 0;
  for (let segment = logs.segment(writer, store, base, opsMax); segment !== undefined; ) {
    ops.push(...segment.ops);
    segment = logs.segment(writer, store, segment.end.seq, opsMax);
  }
  return { base, contents, ops };
}

const toldOf = (log: Log, base: number, to: number) => ({
  base,
  contents: base === 0 ? [] : log.contentsAt(base),
  ops: log.ops.slice(base, to),
});

test('who is behind a checkpoint collects it, keeps it over a restart, and goes on from there', async t => {
  const kept = await archive(t);
  const log = new Log(manyOps(12_000));
  const pieces = log.pieces(11_000, 4_096);
  t.true(pieces.length > 1);
  await kept.logs.append(log.segment(0, 700));
  t.deepEqual(
    await takeAll(kept.logs, pieces.slice(0, -1)),
    pieces.slice(1).map(() => 'collected'),
  );
  t.deepEqual(told(kept.logs), toldOf(log, 0, 700), 'a half changes nothing');
  t.deepEqual(await takeAll(kept.logs, pieces.slice(-1)), ['appended']);
  t.deepEqual(kept.logs.position(writer, store), log.positionAt(11_000));
  t.is(await kept.logs.append(log.segment(10_900, 12_000)), 'appended');
  for (const again of [false, true]) {
    if (again) await kept.restart();
    t.deepEqual(told(kept.logs), toldOf(log, 11_000, 12_000));
    t.is(kept.logs.segment(writer, store, 10_999, 100), undefined, 'nothing from before it is given out');
    t.deepEqual(kept.logs.ops(writer, store, 0, 20_000), log.ops.slice(11_000));
    const [piece] = log.pieces(11_000);
    t.deepEqual(Buffer.from(kept.logs.checkpoint(writer, store)?.signature ?? []), piece?.checkpoint.signature);
  }
});

test('who has read past a checkpoint makes it of what it has, again and again', async t => {
  const kept = await archive(t);
  const log = new Log(manyOps(15_000));
  await kept.logs.append(log.segment(0, 9_500));
  t.is(await kept.logs.takePiece(log.statement(9_000)), 'appended');
  t.deepEqual(told(kept.logs), toldOf(log, 9_000, 9_500));
  t.deepEqual(kept.logs.ops(writer, store, 0, 20_000), log.ops.slice(9_000, 9_500), 'what came before is gone');
  t.is(await kept.logs.takePiece(log.statement(9_000)), 'known');
  await kept.logs.append(log.segment(9_500, 15_000));
  t.deepEqual(
    await takeAll(kept.logs, log.pieces(15_000)),
    ['appended', 'known', 'known'].slice(0, log.pieces(15_000).length),
  );
  await kept.restart();
  t.deepEqual(told(kept.logs), toldOf(log, 15_000, 15_000));
  t.is(await kept.logs.takePiece(log.statement(9_000)), 'known', 'an earlier one takes nothing back');
  t.is(kept.logs.end(writer, store)?.end.seq, 15_000);
});

test('the end of a log that stands on a checkpoint without more is not signed by itself', async t => {
  const kept = await archive(t);
  const log = new Log(manyOps(20));
  await takeAll(kept.logs, log.pieces(20));
  t.is(kept.logs.end(writer, store), undefined);
  t.is(kept.logs.checkpoint(writer, store)?.at.seq, 20);
});

test('a checkpoint of another log than was read is a fork, and nothing is let go of', async t => {
  const kept = await archive(t);
  const log = new Log(manyOps(600));
  await kept.logs.append(log.segment(0, 600));
  const other = new Log([...manyOps(499), { op: 'add', parcel: parcel(9_999) }]);
  t.is(await kept.logs.takePiece(other.statement(500)), 'fork');
  const [first, second, ...rest] = manyOps(600);
  const sameContents = new Log([second as LogOp, first as LogOp, ...rest]);
  t.deepEqual(sameContents.contentsAt(500), log.contentsAt(500));
  t.is(await kept.logs.takePiece(sameContents.statement(500)), 'fork', 'by other operations');
  const right = log.statement(500);
  const { checkpoint } = right;
  for (const wrong of [{ digest: 'ff'.repeat(32) }, { count: checkpoint.count + 1 }])
    t.is(await kept.logs.takePiece({ ...right, checkpoint: { ...checkpoint, ...wrong } }), 'fork');
  t.deepEqual(told(kept.logs), toldOf(log, 0, 600));
  t.is(await kept.logs.takePiece(right), 'appended');
});

test('contents that were forged, pieces that leave a gap, and those of another host or an old epoch change nothing', async t => {
  const kept = await archive(t);
  const log = new Log(manyOps(40), 3);
  await kept.logs.append(log.segment(0, 10));
  const [one, two, three] = log.pieces(40, 8) as [CheckpointPiece, CheckpointPiece, CheckpointPiece];
  t.deepEqual(await takeAll(kept.logs, [two, one, three]), ['gap', 'collected', 'gap']);
  t.is(await kept.logs.takePiece({ ...two, ops: [...two.ops].reverse() }), 'gap');
  t.is(await kept.logs.takePiece(two), 'gap', 'the reading that was spoiled is over');
  const stranger = { ...one, checkpoint: { ...one.checkpoint, host: parseHostId('bb'.repeat(16)) } };
  t.is(await kept.logs.takePiece(stranger), 'collected');
  t.is(await kept.logs.takePiece(new Log(manyOps(90), 2).pieces(90)[0] as CheckpointPiece), 'old-epoch');
  t.deepEqual(told(kept.logs), toldOf(log, 0, 10));
  t.is((await takeAll(kept.logs, log.pieces(40, 8))).at(-1), 'appended');
});

test('a checkpoint of a greater epoch replaces the log, and a log of a greater epoch the checkpoint', async t => {
  const kept = await archive(t);
  const [first, second, third] = [new Log(manyOps(800), 1), new Log(manyOps(300), 2), new Log(manyOps(50), 3)];
  await kept.logs.append(first.segment(0, 700));
  await takeAll(kept.logs, [first.statement(400)]);
  await takeAll(kept.logs, second.pieces(200, 8));
  t.deepEqual(told(kept.logs), toldOf(second, 200, 200));
  await kept.logs.append(second.segment(200, 300));
  t.deepEqual(told(kept.logs), toldOf(second, 200, 300));
  await kept.logs.append(third.segment(0, 50));
  t.deepEqual(told(kept.logs), toldOf(third, 0, 50));
  await kept.logs.drop(writer, store);
  t.deepEqual(told(kept.logs), { base: 0, contents: [], ops: [] });
});

test('a half that a restart leaves behind spoils nothing', async t => {
  const kept = await archive(t);
  const log = new Log(manyOps(14_000));
  const pieces = log.pieces(13_000, 3_000);
  t.deepEqual(await takeAll(kept.logs, pieces.slice(0, 2)), ['collected', 'collected']);
  await kept.restart();
  t.is(await kept.logs.takePiece(pieces[2] as CheckpointPiece), 'gap');
  await takeAll(kept.logs, log.pieces(200, 8));
  t.deepEqual(told(kept.logs), toldOf(log, 200, 200));
  await kept.logs.append(log.segment(200, 14_000));
  await kept.logs.takePiece(log.statement(14_000));
  t.deepEqual(told(kept.logs), toldOf(log, 14_000, 14_000));
});

test('whoever reads a checkpoint while others take its place gets no mixture of them', async t => {
  const kept = await archive(t);
  const log = new Log(manyOps(14_000));
  await kept.logs.append(log.segment(0, 14_000));
  await kept.logs.takePiece(log.statement(12_000));
  const reading = kept.logs.pieces(writer, store);
  t.is(reading.next().value?.first, 0);
  // The second one lies where the first one lay.
  await kept.logs.takePiece(log.statement(13_000));
  await kept.logs.takePiece(log.statement(14_000));
  t.true(reading.next().done);
});
