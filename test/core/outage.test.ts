import test from 'ava';
import fc from 'fast-check';
import { decideOutage, vanishedInOutage } from '../../src/core/outage.js';
import { law } from '../helpers/law.js';

const view = (members: number, vanishedAtMs: readonly number[], withinMs = 100) => ({
  members,
  vanishedAtMs,
  withinMs,
});
const isOutage = (members: number, hosts: number) =>
  decideOutage(
    view(
      members,
      Array.from({ length: hosts }, () => 5),
    ),
  ).outage;

test('more than a third of the members make an outage, a third does not', t => {
  t.false(isOutage(12, 4));
  t.true(isOutage(12, 5));
  t.false(isOutage(14, 4));
  t.true(isOutage(14, 5));
  t.true(isOutage(11, 4));
});

test('fewer than three hosts never make an outage', t => {
  t.false(isOutage(3, 2));
  t.false(isOutage(5, 2));
  t.true(isOutage(4, 3));
});

test('hosts that vanish one by one make none, however many they become', t => {
  t.deepEqual(decideOutage(view(9, [0, 50, 101, 152, 203, 254])), { outage: false, because: 'far-apart' });
  t.true(decideOutage(view(9, [0, 50, 100, 100])).outage);
  t.deepEqual(decideOutage(view(9, [0, 50, 100, 101])), { outage: false, because: 'far-apart' });
  t.deepEqual(decideOutage(view(9, [0, 0, 0])), { outage: false, because: 'few-absent' });
});

test('who was away before or vanishes long after is not part of it', t => {
  const verdict = decideOutage(view(6, [1_000, 0, 500, 520, 540, 600, 640]));
  t.deepEqual(verdict, { outage: true, spans: [{ fromMs: 500, toMs: 640 }] });
  for (const atMs of [500, 600, 640]) t.true(vanishedInOutage(verdict, atMs));
  for (const atMs of [0, 499, 641, 1_000]) t.false(vanishedInOutage(verdict, atMs));
});

test('law: a host is in an outage exactly when enough others vanished with it in one such time', t => {
  law(
    t,
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 20 }),
      fc.integer({ min: 0, max: 150 }),
      (members, times, withinMs) => {
        const verdict = decideOutage(view(members, times, withinMs));
        const enough = (fromMs: number) => {
          const count = times.filter(atMs => fromMs <= atMs && atMs <= fromMs + withinMs).length;
          return count >= 3 && count * 3 > members;
        };
        return times.every(
          atMs =>
            vanishedInOutage(verdict, atMs) ===
            times.some(fromMs => fromMs <= atMs && atMs <= fromMs + withinMs && enough(fromMs)),
        );
      },
    ),
  );
});
