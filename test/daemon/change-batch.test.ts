import test from 'ava';
import fc from 'fast-check';
import {
  BATCH_MS_MAX,
  ChangeBatch,
  FAILED_REST_MS,
  QUIET_MS,
  REST_FACTOR,
  REST_MS_MAX,
  REST_MS_MIN,
} from '../../src/daemon/change-batch.js';
import { law } from '../helpers/law.js';

/** A batch after a run that ended at 0. */
function afterRun({ tookMs = 0, failed = false }: { readonly tookMs?: number; readonly failed?: boolean } = {}) {
  const batch = new ChangeBatch();
  batch.changed(-tookMs);
  batch.runComes();
  batch.scanBegins();
  batch.runEnds({ nowMs: 0, tookMs, failed });
  return batch;
}

test('a run is due once it has been quiet after a change, and never without one', t => {
  const batch = new ChangeBatch();
  t.is(batch.dueMs, undefined);
  batch.changed(1_000);
  t.is(batch.dueMs, 1_000 + QUIET_MS);
  batch.changed(2_500);
  t.is(batch.dueMs, 2_500 + QUIET_MS);
});

test('what goes on for long is not waited for to the end', t => {
  const batch = new ChangeBatch();
  for (let nowMs = 1_000; nowMs <= 300_000; nowMs += 500) batch.changed(nowMs);
  t.is(batch.dueMs, 1_000 + BATCH_MS_MAX);
});

test('what is noticed before the scan is in it; what is noticed later is the next batch', t => {
  const batch = new ChangeBatch();
  batch.changed(0);
  batch.runComes();
  t.is(batch.dueMs, undefined, 'it is seen to');
  batch.changed(10);
  batch.scanBegins();
  batch.runEnds({ nowMs: 100, tookMs: 90, failed: false });
  t.is(batch.dueMs, undefined);

  batch.runComes();
  batch.scanBegins();
  batch.changed(50_000);
  t.is(batch.dueMs, undefined, 'there is one run at a time');
  batch.runEnds({ nowMs: 50_100, tookMs: 100, failed: false });
  t.is(batch.dueMs, 50_100 + REST_MS_MIN);
});

test('nothing is due before the last of the runs that were asked for has ended', t => {
  const batch = new ChangeBatch();
  batch.runComes();
  batch.runComes();
  batch.scanBegins();
  batch.changed(5);
  batch.runEnds({ nowMs: 10, tookMs: 10, failed: false });
  t.is(batch.dueMs, undefined);
  batch.scanBegins();
  batch.runEnds({ nowMs: 20, tookMs: 10, failed: false });
  t.is(batch.dueMs, undefined, 'the second has seen it');
});

test('the longer a run took, the longer is the rest, up to an hour', t => {
  const dueAfter = (tookMs: number) => {
    const batch = afterRun({ tookMs });
    batch.changed(1);
    return batch.dueMs;
  };
  t.is(dueAfter(REST_MS_MIN / REST_FACTOR - 1), REST_MS_MIN);
  t.is(dueAfter(60_000), REST_FACTOR * 60_000);
  t.is(dueAfter(10 * 3_600_000), REST_MS_MAX);
});

test('a run that failed has taken nothing in, and is made again after a while', t => {
  t.is(afterRun({ tookMs: 100, failed: true }).dueMs, FAILED_REST_MS);
  t.is(afterRun({ tookMs: 120_000, failed: true }).dueMs, REST_FACTOR * 120_000);
  t.is(afterRun({ tookMs: 100 }).dueMs, undefined);
});

test("what the source's own hooks do does not count", t => {
  const batch = new ChangeBatch();
  batch.runComes();
  batch.hookBegins();
  batch.changed(1);
  batch.hookEnds();
  batch.scanBegins();
  batch.hookBegins();
  batch.changed(2);
  batch.hookEnds();
  batch.runEnds({ nowMs: 3, tookMs: 2, failed: false });
  t.is(batch.dueMs, undefined);
});

test('law: each change is scanned after it, runs do not meet, and there is a rest between two', t => {
  law(
    t,
    fc.property(
      fc.array(
        fc.record({
          gapMs: fc.integer({ min: 0, max: 90_000 }),
          tookMs: fc.integer({ min: 0, max: 600_000 }),
          failed: fc.boolean(),
        }),
        { minLength: 1, maxLength: 60 },
      ),
      steps => {
        const batch = new ChangeBatch();
        const changesMs: number[] = [];
        for (const { gapMs } of steps) changesMs.push((changesMs.at(-1) ?? 0) + gapMs);
        const scansMs: number[] = [];
        let nowMs = 0;
        let endMs = Number.NEGATIVE_INFINITY;
        let tookMs = 0;
        const waiting = [...changesMs];
        const tellUntil = (untilMs: number): void => {
          for (let [next] = waiting; next !== undefined && next <= untilMs; [next] = waiting) {
            batch.changed(next);
            waiting.shift();
          }
        };
        // The steps say how long each run takes and whether it fails; those after them are short, and succeed.
        for (let run = 0; waiting.length > 0 || batch.dueMs !== undefined; run += 1) {
          const dueMs = batch.dueMs;
          const [next] = waiting;
          if (dueMs === undefined || (next !== undefined && next <= dueMs)) {
            nowMs = Math.max(nowMs, next ?? 0);
            tellUntil(nowMs);
            run -= 1;
            continue;
          }
          nowMs = Math.max(nowMs, dueMs);
          t.true(nowMs - endMs >= Math.min(REST_MS_MAX, Math.max(REST_MS_MIN, REST_FACTOR * tookMs)));
          const step = steps[run];
          const failed = step?.failed ?? false;
          tookMs = step?.tookMs ?? 0;
          batch.runComes();
          batch.scanBegins();
          if (!failed) scansMs.push(nowMs);
          nowMs += tookMs;
          tellUntil(nowMs);
          endMs = nowMs;
          batch.runEnds({ nowMs, tookMs, failed });
        }
        t.true((scansMs.at(-1) ?? -1) >= (changesMs.at(-1) ?? 0), 'the last change is in a scan');
        t.true(scansMs.length <= changesMs.length, 'no scan without a change');
      },
    ),
  );
});
