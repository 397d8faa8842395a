import test from 'ava';
import { type ClaimOrderView, importanceOf, isLeft } from '../../src/core/claim-order.js';

const view = (changes: Partial<ClaimOrderView> = {}): ClaimOrderView => ({
  isHere: false,
  newest: true,
  copies: 0,
  claims: 0,
  rank: 0,
  bytes: 1_000,
  left: false,
  tries: false,
  ...changes,
});

test('each comes before the next', t => {
  const order: readonly ClaimOrderView[] = [
    view({ tries: true, newest: false, copies: 1, bytes: 10 }),
    view({ tries: true, bytes: 1_000 }),
    view({ tries: true, copies: 1, left: true, bytes: 2 ** 39 }),
    view({ isHere: true, newest: false, copies: 1 }),
    view({ bytes: 2_000 }),
    view(),
    view({ rank: 1, bytes: 5_000 }),
    view({ copies: 1, bytes: 2_000 }),
    view({ copies: 1 }),
    view({ copies: 1, claims: 1 }),
    view({ copies: 2, claims: 1 }),
    view({ claims: 1 }),
    view({ left: true, tries: true }),
    view({ newest: false }),
  ];
  const importances = order.map(importanceOf);
  t.deepEqual(
    importances,
    [...importances].sort((a, b) => a - b),
  );
  t.is(new Set(importances).size, order.length);
});

test('numbers stay exact, whatever the view', t => {
  const last = importanceOf(view({ newest: false, left: true, rank: 1_000, bytes: 0 }));
  t.true(Number.isSafeInteger(last));
  t.true(Number.isSafeInteger(importanceOf(view({ copies: 500, claims: 500, bytes: 2 ** 50 }))));
});

test('what is left to faster hosts is told from the rest, and nothing with a copy is', t => {
  t.true(isLeft(importanceOf(view({ left: true, rank: 7 }))));
  t.true(isLeft(importanceOf(view({ left: true, newest: false }))));
  t.false(isLeft(importanceOf(view({ left: true, copies: 1 }))));
  t.false(isLeft(importanceOf(view({ claims: 3 }))));
});
