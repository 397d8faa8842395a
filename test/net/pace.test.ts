/** Pace: how fast bytes move, and whose turn it is. */
import test from 'ava';
import { type PeerName, parsePeerName } from '../../src/core/ids.js';
import { Pace, PacedLine } from '../../src/net/pace.js';

const [ann, bob] = ['A', 'B'].map(letter => parsePeerName(`12D3Koo${letter.repeat(45)}`)) as [PeerName, PeerName];
const grab = (peer: PeerName, bytes: number) => ({ peer, bytes, isUrgent: false });

test('without a rate nobody waits, and whoever waits when it is lifted goes on', async t => {
  const pace = new Pace();
  t.is(pace.take(grab(ann, 1e9)), undefined);
  pace.set(1_000);
  await pace.take(grab(ann, 1e9));
  const waits = pace.take(grab(ann, 1));
  pace.set(undefined);
  await waits;
  t.is(pace.take(grab(ann, 1)), undefined);
});

test('bytes take the time that the rate gives them, however many ask', async t => {
  const pace = new Pace();
  pace.set(1_000_000);
  const beginMs = performance.now();
  await Promise.all(Array.from({ length: 9 }, () => pace.take(grab(ann, 50_000))));
  const tookMs = performance.now() - beginMs;
  // Eight of them have to pass before the last one goes, less what a late timer may make up for.
  t.true(tookMs >= 290, `${tookMs} ms`);
  t.true(tookMs < 15_000, `${tookMs} ms`);
});

test('people go first, and peers take turns however much each asks for', async t => {
  const pace = new Pace();
  pace.set(10_000_000);
  const order: string[] = [];
  // More than a pause before it is made up for.
  const turns = [pace.take(grab(ann, 2_000_000))];
  for (const name of ['a1', 'a2', 'a3']) turns.push(pace.take(grab(ann, 10_000))?.then(() => void order.push(name)));
  for (const name of ['b1', 'b2']) turns.push(pace.take(grab(bob, 10_000))?.then(() => void order.push(name)));
  turns.push(pace.take({ peer: bob, bytes: 10_000, isUrgent: true })?.then(() => void order.push('person')));
  await Promise.all(turns);
  t.deepEqual(order, ['person', 'a1', 'b1', 'a2', 'b2', 'a3']);
});

test('who has waited for long goes before people, however many they are', async t => {
  const pace = new Pace({ waitMsMax: 200 });
  pace.set(1_000_000);
  // More than a pause before it is made up for.
  await pace.take(grab(bob, 200_000));
  let isOver = false;
  const person = async (): Promise<void> => {
    while (!isOver) await pace.take({ peer: bob, bytes: 20_000, isUrgent: true });
  };
  const people = [person(), person()];
  const beginMs = performance.now();
  await pace.take(grab(ann, 20_000));
  await pace.take(grab(ann, 20_000));
  const tookMs = performance.now() - beginMs;
  isOver = true;
  await Promise.all(people);
  t.true(tookMs >= 400, `they were not first: ${tookMs} ms`);
  t.true(tookMs < 15_000, `${tookMs} ms`);
});

test('who gives up leaves its turn to the others', async t => {
  const pace = new Pace();
  pace.set(5_000_000);
  const gaveUp = new AbortController();
  await pace.take(grab(ann, 2_000_000));
  const left = pace.take(grab(ann, 1e12), gaveUp.signal);
  const next = pace.take(grab(ann, 1));
  gaveUp.abort(new Error('left'));
  await t.throwsAsync(left as Promise<void>, { message: 'left' });
  await next;
  await t.throwsAsync(pace.take(grab(ann, 1), gaveUp.signal) as Promise<void>, { message: 'left' });
});

test('a peer with a rate of its own waits for that first, and others do not wait for it', async t => {
  const line = new PacedLine();
  line.set({ all: undefined, ofPeers: new Map([[ann, 1_000]]) });
  await line.take(grab(ann, 1e9));
  const waits = line.take(grab(ann, 1));
  t.true(waits instanceof Promise);
  t.is(line.take(grab(bob, 1e9)), undefined);
  // Its rate is lifted.
  line.set({ all: undefined, ofPeers: new Map() });
  await waits;
  t.is(line.take(grab(ann, 1)), undefined);

  line.set({ all: 1_000, ofPeers: new Map([[ann, 1e12]]) });
  await line.take(grab(ann, 1e9));
  const gaveUp = new AbortController();
  const both = line.take(grab(ann, 1), gaveUp.signal) as Promise<void>;
  gaveUp.abort(new Error('left'));
  await t.throwsAsync(both, { message: 'left' });
  line.set({ all: undefined, ofPeers: new Map() });
});
