import test from 'ava';
import { parseHostId } from '../../src/core/ids.js';
import { Ready } from '../../src/core/ready.js';

const [slow, fast] = ['1', '2'].map(digit => parseHostId(digit.repeat(32))) as [
  ReturnType<typeof parseHostId>,
  ReturnType<typeof parseHostId>,
];

test('the most important row of all sources comes first', t => {
  const ready = new Ready();
  ready.push(1, 30, slow);
  ready.push(2, 10, fast);
  ready.push(3, 20, slow);
  t.deepEqual(
    [1, 2, 3, 4].map(() => ready.take(() => true)),
    [
      { row: 2, importance: 10, source: fast },
      { row: 3, importance: 20, source: slow },
      { row: 1, importance: 30, source: slow },
      undefined,
    ],
  );
  t.is(ready.size, 0);
});

test('a source that has enough to do is passed over, and its rows stay', t => {
  const ready = new Ready();
  ready.push(1, 10, slow);
  ready.push(2, 20, fast);
  const notSlow = (source: string): boolean => source !== slow;
  t.is(ready.take(notSlow)?.row, 2);
  t.is(ready.take(notSlow), undefined);
  t.true(ready.has(1));
  t.is(ready.size, 1);
});

test('what is not important enough to be taken from its source stays', t => {
  const ready = new Ready();
  ready.push(1, 10, slow);
  t.is(
    ready.take((_, importance) => importance < 10),
    undefined,
  );
  t.is(ready.size, 1);
});

test('a row is there once, with what was last said of it', t => {
  const ready = new Ready();
  ready.push(1, 10, slow);
  ready.push(1, 30, slow);
  ready.push(1, 20, fast);
  t.is(ready.size, 1);
  t.deepEqual(
    ready.take(() => true),
    { row: 1, importance: 20, source: fast },
  );
  t.is(
    ready.take(() => true),
    undefined,
  );
  ready.push(1, 10, slow);
  t.is(ready.size, 1);
});

test('rows far beyond the first ones are kept', t => {
  const ready = new Ready();
  for (let row = 0; row < 1_000; row += 1) ready.push(row, 1_000 - row, fast);
  t.is(ready.size, 1_000);
  t.is(ready.take(() => true)?.row, 999);
});

test('what changes no source’s first row lets what was sought before be sought no more', t => {
  const ready = new Ready();
  const none = (): boolean => false;
  ready.push(1, 10, slow);
  ready.push(2, 20, slow);
  ready.push(3, 30, fast);
  ready.take(none);
  const { version } = ready;
  ready.push(4, 40, fast);
  ready.push(2, 15, slow);
  ready.remove(2);
  t.is(ready.version, version);
  const changes: readonly (() => void)[] = [
    () => ready.push(5, 5, slow),
    () => ready.remove(5),
    () => ready.push(1, 50, slow),
    () => ready.push(6, 60, parseHostId('3'.repeat(32))),
    () => ready.take(() => true),
  ];
  for (const change of changes) {
    ready.take(none);
    const before = ready.version;
    change();
    t.not(ready.version, before, String(change));
  }
});
