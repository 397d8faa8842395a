import test from 'ava';
import fc from 'fast-check';
import { EventQueue } from '../../sim/event-queue.js';
import { law } from '../helpers/law.js';

test('events come in order of time, and of one time in the order in which they were put in', t => {
  law(
    t,
    fc.property(fc.array(fc.nat(20)), times => {
      const queue = new EventQueue();
      const came: { readonly atMs: number; readonly put: number }[] = [];
      for (const [put, atMs] of times.entries()) queue.push(atMs, () => came.push({ atMs, put }));
      for (let run = queue.pop(); run !== undefined; run = queue.pop()) run();
      const inOrder = times.map((atMs, put) => ({ atMs, put })).sort((a, b) => a.atMs - b.atMs || a.put - b.put);
      return JSON.stringify(came) === JSON.stringify(inOrder);
    }),
  );
});

test('what is put in while others are taken out has its place', t => {
  const queue = new EventQueue();
  const came: string[] = [];
  queue.push(10, () => came.push('late'));
  queue.push(5, () => {
    came.push('early');
    queue.push(7, () => came.push('between'));
  });
  while (queue.size > 0) queue.pop()?.();
  t.deepEqual(came, ['early', 'between', 'late']);
  t.is(queue.nextMs, Number.POSITIVE_INFINITY);
});
