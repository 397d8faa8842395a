import test from 'ava';
import type { ListedSnapshot } from '../../src/catalog/head.js';
import type { KeepCounts } from '../../src/catalog/retention.js';
import { type HostId, type ObjectId, sourceIdOf } from '../../src/core/ids.js';
import { Retainer } from '../../src/daemon/retention.js';

const HOUR_MS = 3_600_000;
const SOURCE = sourceIdOf('a'.repeat(32) as HostId, 'photos');
const KEEP: KeepCounts = { last: 2, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };

const idOf = (number: number): ObjectId => String(number).padStart(64, '0') as ObjectId;
const listed = (count: number): ListedSnapshot[] =>
  Array.from({ length: count }, (_, i) => ({ id: idOf(i), timeMs: i * HOUR_MS, complete: true, firstSeq: i + 1 }));

function retainer({
  snapshots = listed(4),
  unprotected = [],
  copied = [],
  braked,
  aheadMs,
  wallMs = 100 * HOUR_MS,
}: {
  readonly snapshots?: readonly ListedSnapshot[];
  readonly unprotected?: readonly number[];
  /** Of those that are not protected. */
  readonly copied?: readonly number[];
  readonly braked?: string;
  readonly aheadMs?: number;
  readonly wallMs?: number;
}) {
  const asked: ObjectId[] = [];
  const made = new Retainer({
    catalog: { get: () => ({ head: { snapshots } }) },
    protections: {
      protectedOf: async (_source: unknown, all: readonly ListedSnapshot[]) => {
        asked.push(...all.map(({ id }) => id));
        return new Set(all.flatMap(({ id }) => (unprotected.map(idOf).includes(id) ? [] : [id])));
      },
    },
    onceCopied: { copied: async () => new Set(copied.map(idOf)) },
    brakes: { on: () => braked },
    clockAheadMs: () => aheadMs,
    wallMs: () => wallMs,
  } as unknown as ConstructorParameters<typeof Retainer>[0]);
  const judge = async () => {
    const { snapshots: judged, stopped } = await made.judge(SOURCE, KEEP, new AbortController().signal);
    return { stopped, kept: judged.map(({ reasons }) => reasons.length > 0) };
  };
  return { judge, asked };
}

test('what is not protected uses up no place', async t => {
  t.deepEqual((await retainer({}).judge()).kept, [false, false, true, true]);
  t.deepEqual((await retainer({ unprotected: [3] }).judge()).kept, [false, true, true, true]);
  t.deepEqual((await retainer({ unprotected: [0, 2, 3] }).judge()).kept, [false, true, true, true]);
});

test('while nothing is protected, what was copied once is kept as if it were all that there is', async t => {
  const unprotected = [0, 1, 2, 3, 4, 5];
  const snapshots = listed(6);
  t.deepEqual((await retainer({ snapshots, unprotected }).judge()).kept, [false, false, false, false, true, true]);
  t.deepEqual((await retainer({ snapshots, unprotected, copied: [0, 1, 2] }).judge()).kept, [
    false,
    true,
    true,
    false,
    true,
    true,
  ]);
});

test('who holds what is not asked while the rules keep all there is', async t => {
  const { judge, asked } = retainer({ snapshots: listed(2), unprotected: [1] });
  t.deepEqual((await judge()).kept, [true, true]);
  t.deepEqual(asked, []);
});

test('a mass change stops it, and a clock that is more than an hour off the others', async t => {
  t.is((await retainer({ braked: 'too much at once' }).judge()).stopped, 'too much at once');
  t.is((await retainer({ aheadMs: HOUR_MS }).judge()).stopped, undefined);
  t.is((await retainer({ aheadMs: 26 * HOUR_MS }).judge()).stopped, "this host's clock is 26 h ahead of the others'");
  t.is((await retainer({ aheadMs: -2 * HOUR_MS }).judge()).stopped, "this host's clock is 2 h behind the others'");
});

test('a snapshot that is more than an hour ahead of the clock stops it, for all that follow it lie in its hour', async t => {
  t.is((await retainer({ wallMs: 2 * HOUR_MS }).judge()).stopped, undefined);
  t.is(
    (await retainer({ wallMs: 2 * HOUR_MS - 1 }).judge()).stopped,
    'its newest snapshot is dated 1970-01-01T03:00Z, which is in the future',
  );
});
