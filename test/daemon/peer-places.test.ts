import test from 'ava';
import { parsePeerName } from '../../src/core/ids.js';
import { PeerPlaces } from '../../src/daemon/object-finder.js';
import { Places } from '../../src/daemon/places.js';

const peer = parsePeerName(`12D3Koo${'A'.repeat(45)}`);
const other = parsePeerName(`12D3Koo${'B'.repeat(45)}`);

test('a peer is asked for no more at once than it serves; other peers do not wait; failures free their place', async t => {
  const places = new PeerPlaces();
  let running = 0;
  let most = 0;
  const work = async (fails: boolean): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await new Promise(resolve => setImmediate(resolve));
    running -= 1;
    if (fails) throw new Error('of this one alone');
  };
  const asks = Array.from({ length: 40 }, (_, i) => places.take(peer, () => work(i % 3 === 0)));
  let passed = false;
  await places.take(other, async () => {
    passed = true;
  });
  t.true(passed);
  const results = await Promise.allSettled(asks);
  t.is(results.filter(({ status }) => status === 'fulfilled').length, 26);
  t.is(most, 6);
});

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
