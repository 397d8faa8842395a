import test from 'ava';
import fc from 'fast-check';
import { LossBound } from '../../src/daemon/loss-bound.js';

type Files = ReadonlyMap<string, string>;

/** As files-lost.ts finds it from snapshots. */
function compare(before: Files, after: Files) {
  const there = new Set(after.values());
  const leftOf = new Map<string, number>();
  for (const [path, content] of before)
    if (after.get(path) !== content) leftOf.set(content, (leftOf.get(content) ?? 0) + 1);
  const moved = new Map<number, number>();
  let filesGone = 0;
  for (const [content, files] of leftOf)
    if (there.has(content)) moved.set(files, (moved.get(files) ?? 0) + 1);
    else filesGone += files;
  return { filesGone, filesChanged: 0, moved };
}

/** How many files of one are not in the other as they are. */
const countUnlike = (files: Files, other: Files): number =>
  [...files].filter(([path, content]) => other.get(path) !== content).length;

function changed(before: Files, changes: readonly (readonly [path: string, content: string | undefined])[]): Files {
  const after = new Map(before);
  for (const [path, content] of changes)
    if (content === undefined) after.delete(path);
    else after.set(path, content);
  return after;
}

const name = fc.constantFrom(...'abcdefgh');
const content = fc.constantFrom(...'12345');
const oneRun = fc.record({
  changes: fc.array(fc.tuple(name, fc.option(content, { nil: undefined })), { maxLength: 6 }),
  isCompared: fc.boolean(),
  /** By how many runs the snapshot a day ago moves on. */
  dayMoves: fc.nat({ max: 2 }),
});

test('no more is lost than the bound says, however files get other names, copies and contents, and the day moves on', t => {
  fc.assert(
    fc.property(fc.array(oneRun, { maxLength: 40 }), runs => {
      const first: Files = new Map([...'abcd'].map(path => [path, '1']));
      const snapshots = [first];
      let [last, dayAgo, day] = [first, first, 0];
      let bound = new LossBound(compare(first, first));
      for (const { changes, isCompared, dayMoves } of runs) {
        const next = changed(last, changes);
        bound.left(countUnlike(last, next));
        day = Math.min(day + dayMoves, snapshots.length - 1);
        const newDayAgo = snapshots[day] as Files;
        bound.dayMoved(countUnlike(newDayAgo, dayAgo));
        [last, dayAgo] = [next, newDayAgo];
        snapshots.push(next);
        const found = compare(dayAgo, last);
        t.true(found.filesGone <= bound.atMost);
        if (isCompared) bound = new LossBound(found);
      }
    }),
  );
});

test('after many got another name the bound grows with what the runs change', t => {
  const moved = new Map([
    [1, 100_000],
    [7, 1],
  ]);
  const bound = new LossBound({ filesGone: 2, filesChanged: 1, moved });
  t.is(bound.atMost, 3);
  bound.left(1);
  t.is(bound.atMost, 3 + 1 + 7, 'it was the last of seven with its content');
  bound.left(9);
  t.is(bound.atMost, 3 + 10 + 7 + 9);
  bound.dayMoved(5);
  t.is(bound.atMost, 3 + 10 + 7 + 9 + 5);
});
