import test from 'ava';
import fc from 'fast-check';
import {
  decideRetention,
  isMassChange,
  KEEP_KINDS,
  type KeepCounts,
  type SnapshotToJudge,
} from '../../src/catalog/retention.js';
import type { ObjectId } from '../../src/core/ids.js';
import { law } from '../helpers/law.js';

const NOTHING: KeepCounts = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const snapshot = (timeMs: number, change: Partial<SnapshotToJudge> = {}): SnapshotToJudge => ({
  id: timeMs.toString(16).padStart(64, '0') as ObjectId,
  timeMs,
  complete: true,
  protected: true,
  copied: change.protected ?? true,
  ...change,
});
const at = (...local: [number, number, number, number?, number?]): number => {
  const [year, month, day, hour = 12, minute = 0] = local;
  return new Date(year, month - 1, day, hour, minute).getTime();
};
const verdicts = (snapshots: readonly SnapshotToJudge[], keep: Partial<KeepCounts>) =>
  decideRetention({ snapshots, keep: { ...NOTHING, ...keep } }).map(({ reasons }) => reasons.join(', '));

test('each kind keeps the newest snapshot of each of its newest spans', t => {
  const snapshots = [
    snapshot(at(2026, 3, 1, 9)),
    snapshot(at(2026, 3, 1, 10)),
    snapshot(at(2026, 3, 2, 9, 5)),
    snapshot(at(2026, 3, 2, 9, 55)),
    snapshot(at(2026, 3, 3, 8)),
  ];
  t.deepEqual(verdicts(snapshots, { last: 2 }), [
    '',
    '',
    '',
    'last',
    'last, newest, newest protected, newest complete',
  ]);
  t.deepEqual(verdicts(snapshots, { daily: 2 }).slice(0, 4), ['', '', '', 'daily']);
  t.deepEqual(verdicts(snapshots, { hourly: 3 }).slice(0, 4), ['', 'hourly', '', 'hourly']);
});

test('while a kind has some left, the oldest snapshot stays for want of an older one', t => {
  const snapshots = [snapshot(at(2026, 3, 2, 9)), snapshot(at(2026, 3, 2, 10)), snapshot(at(2026, 3, 3, 9))];
  t.deepEqual(verdicts(snapshots, { daily: 3 }).slice(0, 2), ['oldest daily', 'daily']);
  t.deepEqual(verdicts(snapshots, { daily: 2 }).slice(0, 2), ['', 'daily']);
});

test('weeks are those of ISO 8601, which may belong to another year', t => {
  // 2026 has 53 weeks: its last one ends on 3 January 2027.
  const sunday = snapshot(at(2027, 1, 3));
  const snapshots = [snapshot(at(2026, 12, 27)), snapshot(at(2026, 12, 28)), sunday, snapshot(at(2027, 1, 4))];
  t.deepEqual(verdicts(snapshots, { weekly: 3 }).slice(0, 3), ['weekly', '', 'weekly']);
});

test('what is not protected or not complete uses nothing up, and has its own history', t => {
  const days = [1, 2, 3, 4, 5].map(day => snapshot(at(2026, 3, day), { complete: day % 2 === 1 }));
  t.deepEqual(verdicts(days, { daily: 2 }).slice(0, 4), ['', '', 'daily', 'daily']);
  const never = days.map(one => ({ ...one, complete: false }));
  t.deepEqual(verdicts(never, { daily: 2 }), ['', '', '', 'daily', 'daily, newest, newest protected']);
});

test('the newest protected and the newest complete one stay whatever the rules', t => {
  const snapshots = [
    snapshot(at(2026, 3, 1)),
    snapshot(at(2026, 3, 2), { protected: false }),
    snapshot(at(2026, 3, 3), { protected: false, complete: false }),
    snapshot(at(2026, 3, 4), { protected: false, complete: false }),
  ];
  t.deepEqual(verdicts(snapshots, { last: 1 }), ['last, newest protected', 'newest complete', '', 'last, newest']);
});

test('while the holders are away, what they have keeps its places, whatever is taken meanwhile', t => {
  const daily = { daily: 3 };
  const before = [1, 2, 3, 4].map(day => snapshot(at(2026, 3, day)));
  t.deepEqual(verdicts(before, daily).slice(0, 3), ['', 'daily', 'daily']);
  const away = before.slice(1).map(one => ({ ...one, protected: false }));
  const since = [5, 6, 7, 8].map(day => snapshot(at(2026, 3, day), { protected: false }));
  t.deepEqual(verdicts([...away, ...since], daily), [
    'daily',
    'daily',
    'daily, newest copied',
    '',
    'daily',
    'daily',
    'daily, newest, newest complete',
  ]);
  t.is(verdicts([...away, ...since], { last: 1 })[2], 'last, newest copied');
  // Partial ones beside them, of which the rules keep some too, do not take the places of the complete.
  const partial = before.map(({ timeMs }) =>
    snapshot(timeMs + HOUR_MS, { complete: false, protected: false, copied: true }),
  );
  const both = [...away, ...partial].sort((a, b) => a.timeMs - b.timeMs);
  const kept = verdicts([...both, ...since], daily);
  for (const { timeMs } of away) t.regex(kept[both.findIndex(one => one.timeMs === timeMs)] ?? '', /daily/);
});

test('where copies are always too few, the rules choose among what was copied, and the list does not grow', t => {
  const days = [1, 2, 3, 4, 5].map(day => snapshot(at(2026, 3, day), { protected: false, copied: true }));
  t.deepEqual(verdicts(days, { daily: 2 }), ['', '', '', 'daily', 'daily, newest, newest copied, newest complete']);
});

test('law: what is protected and complete, and what was copied, is kept as if nothing else were there', t => {
  law(
    t,
    fc.property(
      fc.record({
        steps: fc.array(
          fc.record({ hours: fc.integer({ min: 1, max: 400 }), good: fc.boolean(), copied: fc.boolean() }),
          { maxLength: 60 },
        ),
        keep: fc.record(Object.fromEntries(KEEP_KINDS.map(kind => [kind, fc.integer({ min: 0, max: 5 })]))),
      }),
      ({ steps, keep }) => {
        let timeMs = at(2025, 1, 1);
        const snapshots = steps.map(({ hours, good, copied }) => {
          timeMs += hours * HOUR_MS;
          return snapshot(timeMs, { protected: good, copied: good || copied });
        });
        const counts = keep as KeepCounts;
        const kept = new Set(
          decideRetention({ snapshots, keep: counts }).flatMap(({ id, reasons }) => (reasons.length > 0 ? [id] : [])),
        );
        for (const sort of ['protected', 'copied'] as const) {
          const alone = decideRetention({ snapshots: snapshots.filter(one => one[sort]), keep: counts });
          for (const { id, reasons } of alone) if (reasons.length > 0) t.true(kept.has(id));
        }
        // Every snapshot is of some span of each kind: so many of a kind at the most, three times, and three newest ones.
        t.true(kept.size <= 3 * Object.values(counts).reduce((sum, count) => sum + count, 0) + 3);
      },
    ),
  );
});

test('law: hourly backups are kept for as long as restic would keep them', t => {
  const keep: KeepCounts = { last: 3, hourly: 24, daily: 7, weekly: 5, monthly: 12, yearly: 0 };
  let listed: SnapshotToJudge[] = [];
  for (let timeMs = at(2024, 1, 1); timeMs < at(2026, 1, 1); timeMs += 3 * HOUR_MS) {
    listed.push(snapshot(timeMs));
    const stays = new Set(
      decideRetention({ snapshots: listed, keep }).flatMap(({ id, reasons }) => (reasons.length > 0 ? [id] : [])),
    );
    listed = listed.filter(({ id }) => stays.has(id));
  }
  const newestMs = listed.at(-1)?.timeMs ?? 0;
  t.true(listed.length <= 24 + 7 + 5 + 12 + 3);
  for (const [days, most] of [
    [3, 3 / 24],
    [6, 1],
    [28, 7],
    [330, 31],
  ] as const) {
    const gaps = listed
      .filter(({ timeMs }) => timeMs >= newestMs - days * DAY_MS)
      .map(({ timeMs }, i, all) => (timeMs - (all[i - 1]?.timeMs ?? timeMs)) / DAY_MS);
    t.true(Math.max(...gaps) <= most + 1 / 12, `${days} days: a gap of ${Math.max(...gaps)}`);
  }
});

test('a mass change is more than the share, and a hundred files at the least', t => {
  const change = { filesBefore: 1_000, filesGone: 0, filesChanged: 0, brakePercent: 50 };
  t.false(isMassChange({ ...change, filesGone: 500 }));
  t.true(isMassChange({ ...change, filesGone: 300, filesChanged: 201 }));
  t.false(isMassChange({ ...change, filesBefore: 99, filesGone: 99 }));
  t.true(isMassChange({ ...change, filesBefore: 100, filesGone: 100 }));
  t.false(isMassChange({ ...change, brakePercent: 100, filesGone: 1_000 }));
});
