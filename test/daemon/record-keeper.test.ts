import test from 'ava';
import { pino } from 'pino';
import { Answer } from '../../protocols/object/object.js';
import { hashHex } from '../../src/core/hash.js';
import { bytesOf, type ParcelId, parseKey, parseParcelId } from '../../src/core/ids.js';
import { RecordKeeper } from '../../src/daemon/record-keeper.js';
import { writeMessage } from '../../src/net/message-stream.js';
import { OBJECT_PROTOCOL } from '../../src/net/object-protocol.js';
import { type Host, House, until } from '../net/fleet.js';

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

test('a peer that gives no records in time is left, and what came of it is kept', async t => {
  const [self, slow] = (await new House(t).clique(2)) as [Host, Host];
  const records = ['first', 'second'].map(text => Buffer.from(text));
  const ids = records.map(bytes => parseParcelId(hashHex(bytes)));
  let asked = 0;
  await slow.net.handle(OBJECT_PROTOCOL, async (stream, _from, signal) => {
    asked += 1;
    await writeMessage(stream, Answer, { id: bytesOf(ids[0] as ParcelId), found: records[0] as Buffer }, { signal });
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()));
  });
  const kept: string[] = [];
  let flushed = 0;
  const stop = new AbortController();
  const keeper = new RecordKeeper({
    net: self.net,
    objects: {
      has: async () => false,
      put: async (bytes: Uint8Array) => void kept.push(Buffer.from(bytes).toString()),
      flush: async () => void flushed++,
    },
    keepsAll: () => true,
    likely: () => [slow.net.peer],
    log: pino({ level: 'silent' }),
    signal: stop.signal,
    askMs: 300,
  } as unknown as ConstructorParameters<typeof RecordKeeper>[0]);
  keeper.want(ids.map(id => ({ id, key: parseKey('01'.repeat(16)), bytes: 1 })));
  await until(() => asked > 1 && flushed > 0, 'the next round');
  t.is(kept[0], 'first');
  stop.abort(new Error('done'));
  await keeper.stop();
});
