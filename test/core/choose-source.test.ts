import test from 'ava';
import { chooseSource, type SourceView } from '../../src/core/choose-source.js';

const view = (change: Partial<SourceView<string>> = {}): SourceView<string> => ({
  sources: ['origin', 'a', 'b'],
  isConnected: () => true,
  load: new Map(),
  avoidUntilMs: new Map(),
  turn: 0,
  nowMs: 1_000,
  ...change,
});

test('the least loaded source is asked, and equally loaded ones in turn', t => {
  t.is(
    chooseSource(
      view({
        load: new Map([
          ['origin', 2],
          ['a', 1],
          ['b', 2],
        ]),
      }),
    ).from,
    'a',
  );
  t.deepEqual(
    [0, 1, 2, 3].map(turn => chooseSource(view({ turn })).from),
    ['origin', 'a', 'b', 'origin'],
  );
});

test('who is not connected is not asked, whatever its load', t => {
  t.is(chooseSource(view({ isConnected: host => host === 'b', load: new Map([['b', 9]]) })).from, 'b');
  t.deepEqual(chooseSource(view({ isConnected: () => false })), { from: undefined, nextMs: Number.POSITIVE_INFINITY });
});

test('who is to be left alone is not asked before its time, and the first such time is told', t => {
  const avoidUntilMs = new Map([
    ['origin', 3_000],
    ['a', 2_000],
    ['b', 4_000],
  ]);
  t.deepEqual(chooseSource(view({ avoidUntilMs })), { from: undefined, nextMs: 2_000 });
  t.is(chooseSource(view({ avoidUntilMs, nowMs: 2_000 })).from, 'a');
});
