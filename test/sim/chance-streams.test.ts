import test from 'ava';
import { ChanceStreams } from '../../sim/chance-streams.js';

test('a draw from one stream shifts no other', t => {
  const [calm, busy] = [new ChanceStreams(7), new ChanceStreams(7)];
  for (let i = 0; i < 5; i += 1) busy.of('net').uint32();
  t.is(busy.of('disk/3').uint32(), calm.of('disk/3').uint32());
});

test('streams of other names and other seeds differ', t => {
  const first = (seed: number, name: string) => new ChanceStreams(seed).of(name).uint32();
  t.is(new Set([first(1, 'net'), first(2, 'net'), first(1, 'disk/1'), first(1, 'disk/2')]).size, 4);
});
