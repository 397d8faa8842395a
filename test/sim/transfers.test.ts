import test from 'ava';
import { EventQueue } from '../../sim/event-queue.js';
import type { SimHost } from '../../sim/sim-host.js';
import { Transfers } from '../../sim/transfers.js';

const link = (bytesPerS: number): SimHost => ({ uploadBytesPerS: bytesPerS, downloadBytesPerS: bytesPerS }) as SimHost;

/** Starts these at once. @returns when each ended, in s, to 0.1 s. */
function endsOf(moves: readonly { readonly from: SimHost; readonly to: SimHost; readonly bytes: number }[]): number[] {
  const queue = new EventQueue();
  let nowMs = 0;
  const transfers = new Transfers({ after: (delayMs, run) => queue.push(nowMs + delayMs, run), nowMs: () => nowMs });
  const ends: number[] = [];
  for (const [i, move] of moves.entries()) {
    transfers.start({
      ...move,
      ended: () => {
        ends[i] = Math.round(nowMs / 100) / 10;
      },
    });
  }
  while (queue.size > 0) {
    nowMs = queue.nextMs;
    queue.pop()?.();
  }
  return ends;
}

test('one transfer runs at the slower of its two ends', t => {
  t.deepEqual(endsOf([{ from: link(1_000), to: link(100), bytes: 1_000 }]), [10]);
});

test('two on one link share it, and the one that is left has it alone', t => {
  const from = link(100);
  t.deepEqual(
    endsOf([
      { from, to: link(1_000), bytes: 500 },
      { from, to: link(1_000), bytes: 1_500 },
    ]),
    [10, 20],
  );
});

test('what a slow end leaves of a link goes to the others on it', t => {
  const from = link(100);
  t.deepEqual(
    endsOf([
      { from, to: link(10), bytes: 100 },
      { from, to: link(1_000), bytes: 900 },
    ]),
    [10, 10],
  );
});

test('no link carries more than it can, whoever shares it', t => {
  const [a, b, c] = [link(100), link(100), link(100)];
  // a → b, a → c, c → b: b's link in and a's link out are shared by two each.
  t.deepEqual(
    endsOf([
      { from: a, to: b, bytes: 500 },
      { from: a, to: c, bytes: 500 },
      { from: c, to: b, bytes: 500 },
    ]),
    [10, 10, 10],
  );
});

test('nothing takes no time but that of the computation', t => {
  t.deepEqual(endsOf([{ from: link(1), to: link(1), bytes: 0 }]), [0]);
});
