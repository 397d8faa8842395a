import test from 'ava';
import fc from 'fast-check';
import { Claims } from '../../src/core/claims.js';
import { type HostId, parseHostId } from '../../src/core/ids.js';
import { law } from '../helpers/law.js';

const host = (number: number): HostId => parseHostId(String(number).padStart(32, '0'));

test('a host has 4096 claims at most, and may renew those that it has', t => {
  const claims = new Claims();
  for (let row = 0; row < 4096; row += 1) t.true(claims.hear(row, host(1), 1_000));
  t.false(claims.mayClaim(host(1)));
  t.false(claims.hear(5_000, host(1), 1_000));
  t.true(claims.hear(7, host(1), 2_000));
  t.true(claims.hear(5_000, host(2), 1_000));
  claims.withdraw(8, host(1));
  t.true(claims.hear(5_000, host(1), 1_000));
  t.deepEqual(claims.on(5_000), [host(2), host(1)]);
});

test('a claim ends at its time and not before, a renewed one at its last', t => {
  const claims = new Claims();
  claims.hear(1, host(1), 100);
  claims.hear(2, host(1), 100);
  claims.hear(2, host(1), 200);
  t.is(claims.firstEndMs, 100);
  t.deepEqual(claims.expire(99), []);
  t.deepEqual(claims.expire(100), [1]);
  t.deepEqual(claims.on(2), [host(1)]);
  t.deepEqual(claims.expire(200), [2]);
  t.is(claims.firstEndMs, Number.POSITIVE_INFINITY);
});

test('law: they are what a list of them would be', t => {
  const what = fc.oneof(
    fc.record({
      do: fc.constant('hear' as const),
      row: fc.nat(200),
      host: fc.nat(4),
      forMs: fc.integer({ min: 1, max: 50 }),
    }),
    fc.record({ do: fc.constant('withdraw' as const), row: fc.nat(200), host: fc.nat(4) }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.nat(30) }),
    fc.record({ do: fc.constant('forget' as const), host: fc.nat(4) }),
  );
  law(
    t,
    fc.property(fc.array(what, { maxLength: 200 }), happenings => {
      const claims = new Claims();
      const model = new Map<string, number>();
      const rowsOf = (keys: readonly string[]) =>
        keys
          .map(key => Number(key.split(' ')[0]))
          .sort((a, b) => a - b)
          .join();
      let nowMs = 0;
      for (const it of happenings) {
        let rows: readonly number[] = [];
        let expected: string[] = [];
        if (it.do === 'hear') {
          claims.hear(it.row, host(it.host), nowMs + it.forMs);
          model.set(`${it.row} ${it.host}`, nowMs + it.forMs);
        } else if (it.do === 'withdraw') {
          claims.withdraw(it.row, host(it.host));
          model.delete(`${it.row} ${it.host}`);
        } else if (it.do === 'pass') {
          nowMs += it.ms;
          rows = claims.expire(nowMs);
          expected = [...model].filter(([, untilMs]) => untilMs <= nowMs).map(([key]) => key);
        } else {
          rows = claims.forgetHost(host(it.host));
          expected = [...model.keys()].filter(key => key.endsWith(` ${it.host}`));
        }
        for (const key of expected) model.delete(key);
        if ([...rows].sort((a, b) => a - b).join() !== rowsOf(expected)) return false;
        if (claims.firstEndMs !== Math.min(Number.POSITIVE_INFINITY, ...model.values())) return false;
      }
      const claimed = new Map<number, string[]>();
      for (const key of model.keys()) {
        const [row, number] = key.split(' ').map(Number) as [number, number];
        claimed.set(row, [...(claimed.get(row) ?? []), host(number)]);
      }
      return (
        claims.size === claimed.size &&
        [...claimed].every(([row, hosts]) => [...claims.on(row)].sort().join() === hosts.sort().join())
      );
    }),
  );
});

test('renewing a claim a million times takes no more memory than once, and the last end counts', t => {
  const claims = new Claims();
  const before = process.memoryUsage().arrayBuffers;
  claims.hear(2, host(2), 500);
  for (let time = 0; time < 1_000_000; time += 1) claims.hear(1, host(1), 2_000_000 - time);
  t.true(process.memoryUsage().arrayBuffers - before < 2 ** 20);
  t.is(claims.firstEndMs, 500);
  t.deepEqual(claims.expire(1_000_000), [2]);
  t.deepEqual(claims.expire(1_000_001), [1]);
});
