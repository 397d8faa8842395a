import test from 'ava';
import fc from 'fast-check';
import { ALL_HEARD, type FramesHeard, judgeFrame } from '../../src/core/frame-window.js';
import { law } from '../helpers/law.js';

const verdicts = (frames: readonly (readonly [boot: number, frame: number])[], start?: FramesHeard): string[] => {
  let heard = start;
  return frames.map(([boot, frame]) => {
    const judged = judgeFrame(heard, { boot, frame });
    heard = judged.heard;
    return judged.verdict;
  });
};

test('a frame that others have overtaken counts once, and a frame of an earlier start never', t => {
  t.deepEqual(
    verdicts([
      [1, 5],
      [1, 7],
      [1, 6],
      [1, 6],
      [1, 7],
      [1, 5],
      [2, 1],
      [1, 8],
      [2, 1],
    ]),
    ['newer', 'newer', 'overtaken', 'not-newer', 'not-newer', 'not-newer', 'newer', 'older-rising', 'not-newer'],
  );
});

test('an earlier start that says what it had not said before is told from a replay', t => {
  t.deepEqual(
    verdicts([
      [1, 5],
      [2, 1],
      [1, 5],
      [1, 6],
      [2, 2],
      [1, 7],
      [1, 6],
      [3, 1],
      [1, 8],
      [2, 3],
    ]),
    [
      'newer',
      'newer',
      'older-boot',
      'older-rising',
      'newer',
      'older-rising',
      'older-boot',
      'newer',
      'older-boot',
      'older-rising',
    ],
  );
  // After a restart only the highest frame is known: of the first that comes of an earlier start nobody knows whether it is new.
  t.deepEqual(
    verdicts(
      [
        [1, 9],
        [1, 9],
        [1, 10],
      ],
      { last: { boot: 2, frame: 1 }, earlier: ALL_HEARD },
    ),
    ['older-boot', 'older-boot', 'older-rising'],
  );
});

test('no more than 32 later ones may have overtaken it', t => {
  const last = (frame: number) => ({ last: { boot: 1, frame }, earlier: 0 });
  t.deepEqual(verdicts([[1, 100 - 32]], last(100)), ['overtaken']);
  t.deepEqual(verdicts([[1, 100 - 33]], last(100)), ['not-newer']);
});

test('after a restart, when only the highest is known, no earlier one counts', t => {
  t.deepEqual(
    verdicts(
      [
        [1, 99],
        [1, 68],
        [1, 102],
        [1, 101],
        [1, 99],
      ],
      { last: { boot: 1, frame: 100 }, earlier: ALL_HEARD },
    ),
    ['not-newer', 'not-newer', 'newer', 'overtaken', 'not-newer'],
  );
});

test('law: each frame counts once at the most, and all of those that come within 32 of their place', t => {
  law(
    t,
    fc.property(
      fc.array(fc.record({ after: fc.integer({ min: 0, max: 60 }), again: fc.boolean() }), { maxLength: 120 }),
      frames => {
        // Frame n takes the place n + after: overtaken by as many as that at the most.
        const sent = frames.map(({ after, again }, i) => ({ frame: i + 1, place: i + 1 + after, again }));
        const arrivals = [...sent, ...sent.filter(({ again }) => again).map(one => ({ ...one, place: one.place + 3 }))]
          .sort((a, b) => a.place - b.place || a.frame - b.frame)
          .map(({ frame }) => frame);
        let heard: FramesHeard | undefined;
        const counted = new Set<number>();
        let highest = 0;
        for (const frame of arrivals) {
          const judged = judgeFrame(heard, { boot: 1, frame });
          heard = judged.heard;
          const counts = judged.verdict === 'newer' || judged.verdict === 'overtaken';
          t.is(judged.verdict === 'newer', frame > highest);
          t.is(counts, !counted.has(frame) && frame >= highest - 32);
          if (counts) counted.add(frame);
          highest = Math.max(highest, frame);
        }
      },
    ),
  );
});
