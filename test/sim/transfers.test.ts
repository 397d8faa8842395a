import test from 'ava';
import { EventQueue } from '../../sim/event-queue.js';
import type { SimHost } from '../../sim/sim-host.js';
import { STALL_MS, Transfers } from '../../sim/transfers.js';
import { STALL_MS_MAX } from '../../src/net/bulk-stream.js';

const link = (bytesPerS: number): SimHost => ({ uploadBytesPerS: bytesPerS, downloadBytesPerS: bytesPerS }) as SimHost;

/** Starts these at once; whatever is to or from `held` does not move from its `fromS` to its `untilS`. @returns when each ended, in s, to 0.1 s; below 0 where it was given up. */
function endsOf(
  moves: readonly { readonly from: SimHost; readonly to: SimHost; readonly bytes: number }[],
  held?: { readonly host: SimHost; readonly fromS: number; readonly untilS: number },
): number[] {
  const queue = new EventQueue();
  let nowMs = 0;
  const after = (delayMs: number, run: () => void): void => queue.push(nowMs + delayMs, run);
  const isHeld = (host: SimHost): boolean =>
    host === held?.host && nowMs >= held.fromS * 1_000 && nowMs < held.untilS * 1_000;
  const transfers = new Transfers({ after, nowMs: () => nowMs, carries: (from, to) => !isHeld(from) && !isHeld(to) });
  for (const atS of held === undefined ? [] : [held.fromS, held.untilS])
    if (atS < Number.POSITIVE_INFINITY) after(atS * 1_000, () => transfers.review());
  const ends: number[] = [];
  for (const [i, move] of moves.entries()) {
    const end = (sign: 1 | -1) => (): void => {
      ends[i] = (sign * Math.round(nowMs / 100)) / 10;
    };
    transfers.start({ ...move, ended: end(1), stalled: end(-1) });
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

test('what an end that is held up leaves of a link goes to the others on it, until it goes on', t => {
  const [from, slow] = [link(100), link(1_000)];
  t.deepEqual(
    endsOf(
      [
        { from, to: slow, bytes: 1_000 },
        { from, to: link(1_000), bytes: 1_000 },
      ],
      { host: slow, fromS: 2, untilS: 5 },
    ),
    [20, 17],
  );
});

test('where nothing has moved for as long as a daemon waits, a transfer is given up', t => {
  t.is(STALL_MS, STALL_MS_MAX);
  const to = link(100);
  const moves = [{ from: link(100), to, bytes: 1_000 }];
  t.deepEqual(endsOf(moves, { host: to, fromS: 2, untilS: 61 }), [69]);
  t.deepEqual(endsOf(moves, { host: to, fromS: 2, untilS: Number.POSITIVE_INFINITY }), [-62]);
  // Also where no byte is left to come.
  t.deepEqual(endsOf([{ from: link(100), to, bytes: 0 }], { host: to, fromS: 0, untilS: 3 }), [3]);
});
