import test from 'ava';
import fc from 'fast-check';
import {
  ABSENCE_MEMORY_MS,
  ABSENCES_MAX,
  type Absence,
  decidePatience,
  longestAbsenceMs,
  withAbsence,
} from '../../src/core/absence.js';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import { law } from '../helpers/law.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const { deadMs, roamingDeadMs, deadMaxMs } = DEFAULT_TIMING;
const absence = (lengthMs: number, endedAtMs: number, wasDead = false): Absence => ({ lengthMs, endedAtMs, wasDead });
const patience = (longestMs: number, roaming = false) => decidePatience({ longestMs, roaming, timing: DEFAULT_TIMING });

test('a host is waited for half as long again as its longest absence, at least `dead`, at most `deadMax`', t => {
  t.deepEqual(patience(0), { usualMs: 0, deadAfterMs: deadMs, because: 'dead' });
  t.deepEqual(patience(40 * MINUTE_MS), { usualMs: 40 * MINUTE_MS, deadAfterMs: deadMs, because: 'dead' });
  t.deepEqual(patience(42 * MINUTE_MS), { usualMs: 42 * MINUTE_MS, deadAfterMs: 63 * MINUTE_MS, because: 'habit' });
  t.is(patience(46 * HOUR_MS).deadAfterMs, 69 * HOUR_MS);
  t.is(patience(48 * HOUR_MS).deadAfterMs, deadMaxMs);
  t.deepEqual(patience(480 * HOUR_MS), { usualMs: 48 * HOUR_MS, deadAfterMs: deadMaxMs, because: 'habit' });
});

test('a roaming host is waited for a day at the least, and for longer when it has shown so', t => {
  t.deepEqual(patience(0, true), { usualMs: 16 * HOUR_MS, deadAfterMs: roamingDeadMs, because: 'roaming' });
  t.is(patience(16 * HOUR_MS, true).deadAfterMs, roamingDeadMs);
  t.deepEqual(patience(20 * HOUR_MS, true), { usualMs: 20 * HOUR_MS, deadAfterMs: 30 * HOUR_MS, because: 'habit' });
});

test('absences are remembered for 14 days', t => {
  const known = withAbsence([], absence(HOUR_MS, 1_000));
  t.is(longestAbsenceMs(known, 1_000 + ABSENCE_MEMORY_MS - 1), HOUR_MS);
  t.is(longestAbsenceMs(known, 1_000 + ABSENCE_MEMORY_MS), 0);
  t.is(withAbsence(known, absence(1, 1_000 + ABSENCE_MEMORY_MS - 1)).length, 2);
  t.is(withAbsence(known, absence(1, 1_000 + ABSENCE_MEMORY_MS)).length, 1);
});

test('an absence that is older and no longer is not kept, but for the last one in which the host was taken for dead', t => {
  t.deepEqual(withAbsence([absence(5, 1), absence(3, 2)], absence(5, 3)), [absence(5, 3)]);
  t.deepEqual(withAbsence([absence(6, 1), absence(3, 2)], absence(5, 3)), [absence(6, 1), absence(5, 3)]);
  t.deepEqual(withAbsence([absence(3, 1, true)], absence(5, 2)), [absence(3, 1, true), absence(5, 2)]);
  t.deepEqual(withAbsence([absence(3, 1, true)], absence(5, 2, true)), [absence(5, 2, true)]);
});

test('beyond the limit the shortest is forgotten', t => {
  const full = Array.from({ length: ABSENCES_MAX }, (_, i) => absence(1_000 - i, i));
  const kept = withAbsence(full, absence(5, 100));
  t.is(kept.length, ABSENCES_MAX);
  t.false(kept.some(({ lengthMs }) => lengthMs === 5));
  t.is(longestAbsenceMs(kept, 100), 1_000);
});

test('law: what is kept tells the longest of the last 14 days and the last return from the dead, now and later', t => {
  law(
    t,
    fc.property(
      fc.array(
        fc.record({
          lengthMs: fc.integer({ min: 1, max: 20 }).map(hours => hours * HOUR_MS),
          afterMs: fc.integer({ min: 1, max: 100 }).map(hours => hours * HOUR_MS),
          wasDead: fc.boolean(),
        }),
        { maxLength: 40 },
      ),
      fc.integer({ min: 0, max: 400 }).map(hours => hours * HOUR_MS),
      (gaps, laterMs) => {
        let endedAtMs = 0;
        let kept: readonly Absence[] = [];
        const all: Absence[] = [];
        for (const { lengthMs, afterMs, wasDead } of gaps) {
          endedAtMs += afterMs;
          all.push({ lengthMs, endedAtMs, wasDead });
          kept = withAbsence(kept, { lengthMs, endedAtMs, wasDead });
        }
        const nowMs = endedAtMs + laterMs;
        const recent = (absences: readonly Absence[]) =>
          absences.filter(past => nowMs - past.endedAtMs < ABSENCE_MEMORY_MS);
        const lastDead = (absences: readonly Absence[]) => recent(absences).findLast(past => past.wasDead)?.endedAtMs;
        return (
          longestAbsenceMs(kept, nowMs) === Math.max(0, ...recent(all).map(past => past.lengthMs)) &&
          lastDead(kept) === lastDead(all)
        );
      },
    ),
  );
});
