import test from 'ava';
import { type HostId, parseHostId } from '../../src/core/ids.js';
import { Paces } from '../../src/core/paces.js';

const MB = 1_000_000;
const hostNumber = (n: number): HostId => parseHostId(n.toString(16).padStart(32, '0'));
const [slow, fast, other] = [hostNumber(1), hostNumber(2), hostNumber(3)] as [HostId, HostId, HostId];

/** A host that says nothing of itself has not been heard of. */
function pacesWith(said: ReadonlyMap<HostId, number>): Paces {
  return new Paces({
    saidOf: host => said.get(host) ?? 0,
    saidVersion: () => 0,
    fastest: () => Math.max(0, ...said.values()),
  });
}

function fetched(paces: Paces, source: HostId, { bytesPerS, fromMs }: { bytesPerS: number; fromMs: number }): void {
  paces.began(source, fromMs);
  paces.came(source, bytesPerS * 4, fromMs + 4_000);
  paces.ended(source, fromMs + 4_000);
}

test('what is hoped of a source is what it says of itself, or more that it gave', t => {
  const paces = pacesWith(new Map([[slow, 10 * MB]]));
  t.is(paces.hopedOf(slow), 10 * MB);
  t.is(paces.hopedOf(fast), 0);
  fetched(paces, slow, { bytesPerS: 30 * MB, fromMs: 0 });
  t.is(paces.hopedOf(slow), 30 * MB);
  t.is(paces.own, 30 * MB);
});

test('a source is slow beside a host that is four times as fast, and not while nothing is known of it', t => {
  const paces = pacesWith(
    new Map([
      [slow, 10 * MB],
      [fast, 40 * MB],
    ]),
  );
  t.true(paces.isSlow(slow));
  t.false(paces.isSlow(fast));
  t.false(paces.isSlow(other));
});

test('a slow host leaves the parcels of a slow source to the faster ones that take them', t => {
  const paces = pacesWith(
    new Map([
      [slow, 10 * MB],
      [fast, 100 * MB],
    ]),
  );
  fetched(paces, other, { bytesPerS: 10 * MB, fromMs: 0 });
  t.false(paces.isLeftToFaster(slow, 10_000));
  paces.took(fast, { source: slow, bytes: 200 * MB, nowMs: 10_000 });
  t.true(paces.isLeftToFaster(slow, 20_000));
  t.false(paces.isLeftToFaster(other, 20_000));
});

test('… no longer than they do', t => {
  const paces = pacesWith(
    new Map([
      [slow, 10 * MB],
      [fast, 100 * MB],
    ]),
  );
  paces.took(fast, { source: slow, bytes: 200 * MB, nowMs: 0 });
  t.true(paces.isLeftToFaster(slow, 60_000));
  t.false(paces.isLeftToFaster(slow, 200_000));
});

test('until when they are left is known beforehand', t => {
  const paces = pacesWith(
    new Map([
      [slow, 10 * MB],
      [fast, 100 * MB],
    ]),
  );
  t.is(paces.leftUntilMs(slow, 0), Number.NEGATIVE_INFINITY);
  paces.took(fast, { source: slow, bytes: 40 * MB, nowMs: 0 });
  t.is(paces.leftUntilMs(slow, 0), 40_000);
  t.true(paces.isLeftToFaster(slow, 40_000));
  t.false(paces.isLeftToFaster(slow, 40_001));
  // What came in one span is looked at anew at its end.
  paces.took(fast, { source: slow, bytes: 200 * MB, nowMs: 50_000 });
  t.is(paces.leftUntilMs(slow, 50_000), 60_000);
});

test('what hosts as slow as this one take changes nothing', t => {
  const paces = pacesWith(
    new Map([
      [slow, 10 * MB],
      [fast, 100 * MB],
      [other, 10 * MB],
    ]),
  );
  paces.took(other, { source: slow, bytes: 200 * MB, nowMs: 0 });
  t.false(paces.isLeftToFaster(slow, 10_000));
});

test('a fast host leaves nothing to others', t => {
  const paces = pacesWith(
    new Map([
      [slow, 10 * MB],
      [fast, 100 * MB],
    ]),
  );
  fetched(paces, other, { bytesPerS: 100 * MB, fromMs: 0 });
  paces.took(fast, { source: slow, bytes: 200 * MB, nowMs: 5_000 });
  t.false(paces.isLeftToFaster(slow, 6_000));
});
