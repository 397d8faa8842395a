import test from 'ava';
import { Asks } from '../../protocols/drop/drop.js';
import { Frame } from '../../protocols/gossip/gossip.js';
import { Ask, Part } from '../../protocols/state/state.js';
import { limited } from '../../src/net/wire-codec.js';

/** Empty entries of a list, at two bytes each, and behind them what cannot be read: whoever gets there has read all of them. */
const entries = (tag: number, count: number): Uint8Array =>
  Buffer.concat([Buffer.alloc(2 * count, Buffer.from([tag, 0])), Buffer.from([0xff])]);

test('a list is read up to its limit, and what lies beyond it is not even looked at', t => {
  const codec = limited(Ask, { logs: 4 });
  const logs = Array(4).fill({
    host: new Uint8Array(16),
    store: new Uint8Array(16),
    epochCounter: 1,
    epochRandom: new Uint8Array(8),
    seq: 1,
  });
  const ask = { logs, heads: [], outOfReach: [] };
  t.is(codec.decode(codec.encode(ask)).logs.length, 4);
  t.throws(() => codec.decode(entries(0x0a, 500_000)), { name: 'MaxLengthError' });
  t.throws(() => limited(Asks, { asks: 4 }).decode(entries(0x0a, 5)), { name: 'MaxLengthError' });
});

test('so is a list within a message', t => {
  const ops = Array(5).fill(new Uint8Array(1));
  const segment = { host: new Uint8Array(16), ops, signature: new Uint8Array(64) };
  const part = Part.encode({ segment });
  t.is(limited(Part, { segment: { ops: 5 } }).decode(part).segment?.ops.length, 5);
  t.throws(() => limited(Part, { segment: { ops: 4 } }).decode(part), { name: 'MaxLengthError' });
  const frame = Frame.encode({
    writer: new Uint8Array(),
    boot: 1,
    frame: 1,
    addresses: [],
    wallMs: 1,
    claims: { store: new Uint8Array(16), claims: [], withdrawn: ops },
  });
  t.throws(() => limited(Frame, { claims: { withdrawn: 4 } }).decode(frame), { name: 'MaxLengthError' });
});
