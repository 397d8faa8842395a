import test from 'ava';
import { Places } from '../../src/daemon/places.js';

test('who gives up waiting leaves its turn to the next, and never begins', async t => {
  const places = new Places<string>(1);
  const order: string[] = [];
  let end: () => void = () => undefined;
  const first = places.take('disk', () => new Promise<void>(resolve => (end = resolve)));
  const gaveUp = new AbortController();
  const second = places.take('disk', async () => order.push('second'), gaveUp.signal);
  const third = places.take('disk', async () => order.push('third'), new AbortController().signal);
  gaveUp.abort(new Error('left'));
  await t.throwsAsync(second, { message: 'left' });
  await t.throwsAsync(
    places.take('disk', async () => order.push('fourth'), gaveUp.signal),
    { message: 'left' },
  );
  t.deepEqual(order, []);
  end();
  await Promise.all([first, third]);
  t.deepEqual(order, ['third']);
  await places.take('disk', async () => order.push('fifth'));
  t.deepEqual(order, ['third', 'fifth']);
});
