import test from 'ava';
import { SendTurns } from '../../src/net/send-turns.js';

test('turns are taken one after the other, what is urgent first, and who gives up is passed over', async t => {
  const turns = new SendTurns();
  t.is(turns.take({}), undefined);
  const order: string[] = [];
  const gaveUp = new AbortController();
  const waits = ['a', 'b', 'A', 'left', 'B'].map(async name => {
    const signal = name === 'left' ? gaveUp.signal : undefined;
    await turns.take({ isUrgent: name === name.toUpperCase() }, signal);
    order.push(name);
    turns.leave();
  });
  gaveUp.abort(new Error('left'));
  turns.leave();
  const ends = await Promise.allSettled(waits);
  t.deepEqual(order, ['A', 'a', 'B', 'b']);
  t.deepEqual(
    ends.map(({ status }) => status === 'fulfilled'),
    [true, true, true, false, true],
  );
  t.is(turns.take({}), undefined, 'nobody has it');
});
