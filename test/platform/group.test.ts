import test from 'ava';
import { Group } from '../../src/platform/group.js';

function gated() {
  const rounds: { items: readonly number[]; end: (error?: Error) => void }[] = [];
  let began = () => {};
  const group = new Group<number>(
    items =>
      new Promise((resolve, reject) => {
        rounds.push({ items, end: error => (error === undefined ? resolve() : reject(error)) });
        began();
      }),
  );
  const round = (n: number) =>
    new Promise<void>(resolve => {
      began = () => rounds.length > n && resolve();
      began();
    });
  return { group, rounds, round };
}

test('callers that arrive while a round runs share the next one', async t => {
  const { group, rounds, round } = gated();
  const first = group.join([1]);
  await round(0);
  const [second, third] = [group.join([2]), group.join([3, 4])];
  rounds[0]?.end();
  await first;
  await round(1);
  t.deepEqual(
    rounds.map(({ items }) => items),
    [[1], [2, 3, 4]],
  );
  rounds[1]?.end();
  await Promise.all([second, third]);
});

test('a round that fails fails those who were in it and nobody else', async t => {
  const { group, rounds, round } = gated();
  const first = group.join([1]);
  const failed = t.throwsAsync(first, { message: 'disk' });
  await round(0);
  const second = group.join([2]);
  rounds[0]?.end(new Error('disk'));
  await failed;
  await round(1);
  rounds[1]?.end();
  await t.notThrowsAsync(second);
});

test('those who are ready in one turn come along in one round', async t => {
  const { group, rounds, round } = gated();
  const all = [1, 2, 3].map(n => group.join([n]));
  await round(0);
  t.deepEqual(rounds[0]?.items, [1, 2, 3]);
  rounds[0]?.end();
  await Promise.all(all);
});
