import test from 'ava';
import { pino } from 'pino';
import { type ParcelId, parseKey, parseParcelId } from '../../src/core/ids.js';
import { RecordKeeper } from '../../src/daemon/record-keeper.js';

/** A look follows a want within a few turns of the event loop. */
const WAIT_MS_MAX = 5_000;

test('records of a later head are seen to when those of the one before are all here', async t => {
  const looked: ParcelId[] = [];
  const keeper = new RecordKeeper({
    net: { connected: () => [] },
    objects: {
      has: async (id: ParcelId) => {
        looked.push(id);
        return true;
      },
      flush: async () => undefined,
    },
    keepsAll: () => true,
    likely: () => [],
    log: pino({ level: 'silent' }),
    signal: new AbortController().signal,
  } as unknown as ConstructorParameters<typeof RecordKeeper>[0]);
  for (const byte of ['01', '02']) {
    const id = parseParcelId(byte.repeat(32));
    keeper.want([{ id, key: parseKey(byte.repeat(16)), bytes: 1 }]);
    const endMs = Date.now() + WAIT_MS_MAX;
    while (looked.at(-1) !== id && Date.now() < endMs) await new Promise(resolve => setImmediate(resolve));
    t.is(looked.at(-1), id);
  }
  await keeper.stop();
});
