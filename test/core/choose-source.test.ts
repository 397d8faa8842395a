import test from 'ava';
import { chooseSource, type SourceView } from '../../src/core/choose-source.js';

const view = (change: Partial<SourceView<string>> = {}): SourceView<string> => ({
  origins: ['origin'],
  holders: ['a', 'b'],
  isConnected: () => true,
  hopedOf: () => 100,
  load: new Map(),
  avoidUntilMs: new Map(),
  turn: 0,
  nowMs: 1_000,
  ...change,
});

test('of equal sources the least loaded is asked, holders in turn and before the origin', t => {
  const load = new Map([
    ['origin', 2],
    ['a', 1],
    ['b', 2],
  ]);
  t.is(chooseSource(view({ load })).from, 'a');
  t.deepEqual(
    [0, 1, 2].map(turn => chooseSource(view({ turn })).from),
    ['a', 'b', 'a'],
  );
});

test('who can be hoped to give most beside what it gives us already is asked', t => {
  const hopedOf = (host: string): number => (host === 'b' ? 300 : 100);
  t.is(chooseSource(view({ hopedOf })).from, 'b');
  t.is(chooseSource(view({ hopedOf, load: new Map([['b', 1]]) })).from, 'b');
  t.is(chooseSource(view({ hopedOf, load: new Map([['b', 3]]) })).from, 'a');
});

test('of whom nothing is known, most is hoped', t => {
  t.is(chooseSource(view({ hopedOf: host => (host === 'origin' ? 0 : 100) })).from, 'origin');
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
