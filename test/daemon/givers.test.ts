/** Givers: one holder while it is faster than its reader; where it is waited for, the others too. */
import test from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { Givers } from '../../src/daemon/givers.js';

const [ANN, BEN] = ['ann', 'ben'] as [PeerName, PeerName];
const BOTH = [ANN, BEN];

/** Streams of one part after the other, each of which takes the giver so long to give, and the reader so long to take. */
class Reading {
  nowMs = 0;
  readonly givers = new Givers({ nowMs: () => this.nowMs });

  /** A stream that has given so many parts, and has more. */
  async begin(peer: PeerName, { parts = 1, givesMs, takesMs }: { parts?: number; givesMs: number; takesMs: number }) {
    const tick = (ms: number): void => {
      this.nowMs += ms;
    };
    const given = this.givers.from(
      peer,
      (async function* give() {
        for (;;) {
          tick(givesMs);
          yield 'part';
        }
      })(),
    );
    for (let n = 0; n < parts; n += 1) {
      await given.next();
      tick(takesMs);
    }
    return given;
  }
}

test('who gives faster than its reader takes is asked for four at once before another one is', async t => {
  const reading = new Reading();
  for (let n = 0; n < 4; n += 1) {
    t.is(reading.givers.best(BOTH), ANN);
    await reading.begin(ANN, { parts: 3, givesMs: 1, takesMs: 10 });
  }
  t.is(reading.givers.best(BOTH), BEN);
});

test('who is waited for is asked for two at once, and the other for the rest', async t => {
  const reading = new Reading();
  for (let n = 0; n < 2; n += 1) {
    t.is(reading.givers.best(BOTH), ANN);
    await reading.begin(ANN, { parts: 3, givesMs: 10, takesMs: 1 });
  }
  t.is(reading.givers.best(BOTH), BEN);
  for (let n = 0; n < 2; n += 1) await reading.begin(BEN, { parts: 3, givesMs: 10, takesMs: 1 });
  // Both are full: whose turn was longest ago.
  t.is(reading.givers.best(BOTH), ANN);
});

test('a stream that is left counts no more, and who was slow long ago is so no more', async t => {
  const reading = new Reading();
  const streams = [];
  for (let n = 0; n < 2; n += 1) streams.push(await reading.begin(ANN, { parts: 3, givesMs: 100, takesMs: 1 }));
  t.is(reading.givers.best(BOTH), BEN);
  await streams[0]?.return();
  t.is(reading.givers.best(BOTH), ANN);
  await reading.begin(ANN, { parts: 500, givesMs: 1, takesMs: 30 });
  await reading.begin(ANN, { parts: 3, givesMs: 1, takesMs: 30 });
  t.is(reading.givers.best(BOTH), ANN, 'three at once');
});

test('who kept its reader waiting and gave nothing was waited for', async t => {
  const reading = new Reading();
  await reading.begin(ANN, { parts: 3, givesMs: 1, takesMs: 10 });
  const silent = async function* silent(): AsyncGenerator<string> {
    yield* [];
    reading.nowMs += 60_000;
    throw new Error('stalled');
  };
  await t.throwsAsync(reading.givers.from(ANN, silent()).next());
  await reading.begin(ANN, { parts: 0, givesMs: 1, takesMs: 1 });
  t.is(reading.givers.best(BOTH), ANN);
  const second = await reading.begin(ANN, { parts: 1, givesMs: 1, takesMs: 1 });
  t.is(reading.givers.best(BOTH), BEN, 'two at once');
  await second.return();
});

test('who failed comes last for five minutes, or until it has given all that it was asked for', async t => {
  const reading = new Reading();
  const { givers } = reading;
  givers.failed(ANN);
  t.deepEqual(
    BOTH.map(peer => givers.comesLast(peer)),
    [true, false],
  );
  reading.nowMs += 5 * 60_000 - 1;
  t.true(givers.comesLast(ANN));
  reading.nowMs += 1;
  t.false(givers.comesLast(ANN));
  givers.failed(ANN);
  const given = givers.from(
    ANN,
    (async function* () {
      yield 'part';
    })(),
  );
  await given.next();
  t.true(givers.comesLast(ANN));
  await given.next();
  t.false(givers.comesLast(ANN));
});
