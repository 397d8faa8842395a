import test from 'ava';
import { parseHostId } from '../../src/core/ids.js';
import { Ready } from '../../src/core/ready.js';

const [slow, fast] = ['1', '2'].map(digit => parseHostId(digit.repeat(32))) as [
  ReturnType<typeof parseHostId>,
  ReturnType<typeof parseHostId>,
];

test('the most important row of all origins comes first', t => {
  const ready = new Ready();
  ready.push(1, 30, slow);
  ready.push(2, 10, fast);
  ready.push(3, 20, slow);
  t.deepEqual(
    [1, 2, 3, 4].map(() => ready.take(() => true)),
    [2, 3, 1, undefined],
  );
  t.is(ready.size, 0);
  t.is(ready.origins, 0);
});

test('an origin that has enough to do is passed over, and its rows stay', t => {
  const ready = new Ready();
  ready.push(1, 10, slow);
  ready.push(2, 20, fast);
  t.is(
    ready.take(origin => origin !== slow),
    2,
  );
  t.is(
    ready.take(origin => origin !== slow),
    undefined,
  );
  t.true(ready.has(1));
  t.is(ready.size, 1);
});

test('a row is there once, and may come again when it was taken', t => {
  const ready = new Ready();
  ready.push(1, 10, slow);
  ready.push(1, 5, slow);
  t.is(
    ready.take(() => true),
    1,
  );
  t.is(
    ready.take(() => true),
    undefined,
  );
  ready.push(1, 10, slow);
  t.is(ready.size, 1);
});
