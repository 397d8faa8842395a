import test from 'ava';
import { parsePeerName } from '../../src/core/ids.js';
import { PeerPlaces } from '../../src/daemon/object-finder.js';

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
