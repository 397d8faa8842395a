import test from 'ava';
import type { Part } from '../../protocols/fetch/fetch.js';
import { bytesOf, parseBlobId, parseParcelId } from '../../src/core/ids.js';
import { readAnswer } from '../../src/net/fetch-protocol.js';
import { FLOOR_BYTES, FloorRate } from '../../src/net/floor-rate.js';

async function* eachAfter(ms: number): AsyncGenerator<string, void, undefined> {
  for (;;) {
    await new Promise(resolve => setTimeout(resolve, ms));
    yield 'part';
  }
}

test('what stays below the floor is waited for so long, however many its parts', async t => {
  const floor = new FloorRate({ stallMs: 20 });
  const parts = eachAfter(5);
  const read = async (): Promise<void> => {
    for (let bytes = FLOOR_BYTES - 1; ; bytes = 0) {
      await floor.next(parts);
      floor.moved(bytes);
    }
  };
  await t.throwsAsync(read(), { code: 'STREAM_STALLED' });
});

test('who reaches the floor is waited for anew, and what others take does not count', async t => {
  const floor = new FloorRate({ stallMs: 100 });
  const parts = eachAfter(50);
  const sinceMs = performance.now();
  while (performance.now() - sinceMs < 800) {
    t.like(await floor.next(parts), { value: 'part' });
    floor.moved(FLOOR_BYTES);
  }
  const quick = (async function* () {
    for (;;) yield 'part';
  })();
  const other = new FloorRate({ stallMs: 2 });
  const beganMs = performance.now();
  while (performance.now() - beganMs < 100) {
    t.like(await other.next(quick), { value: 'part' });
    await new Promise(resolve => setTimeout(resolve, 5));
  }
});

test('a fetch of which a byte comes now and then is not waited for', async t => {
  const blob = parseBlobId('ab'.repeat(32));
  const trickle = (async function* (): AsyncGenerator<Part, void, undefined> {
    yield { blob: { blob: bytesOf(blob), sizeBytes: 1 << 20 } };
    for await (const _ of eachAfter(5)) yield { data: new Uint8Array(1) };
  })();
  const request = { parcel: parseParcelId('cd'.repeat(32)), blobs: [blob], purpose: 'restore' } as const;
  const answer = readAnswer(trickle, request, { paced: () => undefined, floor: new FloorRate({ stallMs: 20 }) });
  await t.throwsAsync(
    async () => {
      for await (const _ of answer);
    },
    { code: 'STREAM_STALLED', message: /^a peer gave \d+ bytes/ },
  );
});
