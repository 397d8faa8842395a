import test from 'ava';
import { ClaimBudget } from '../../src/core/claim-budget.js';
import { type HostId, parseHostId } from '../../src/core/ids.js';

const MB = 1_000_000;
const GB = 1_000 * MB;
const hostNumber = (n: number): HostId => parseHostId(n.toString(16).padStart(32, '0'));
const [slow, fast, other] = [hostNumber(1), hostNumber(2), hostNumber(3)] as [HostId, HostId, HostId];

function budgetOf({
  own = 0,
  hoped = new Map(),
  claimed = [],
}: {
  own?: number;
  hoped?: ReadonlyMap<HostId, number>;
  claimed?: readonly (readonly [HostId, number])[];
}): ClaimBudget {
  return new ClaimBudget({
    claimed,
    paces: {
      own,
      hopedOf: source => hoped.get(source) ?? 0,
      isSlow: source => (hoped.get(source) ?? 0) > 0 && (hoped.get(source) as number) <= 10 * MB,
    },
    claimWaitMs: 1_500,
  });
}

test('as much is claimed as comes in a few rounds of claims, and at least 64 MiB', t => {
  const reserved = (mb: number) => [[fast, mb * MB]] as const;
  t.true(budgetOf({ claimed: reserved(60) }).allows(fast));
  t.false(budgetOf({ claimed: reserved(70) }).allows(fast));
  t.true(budgetOf({ own: 100 * MB, claimed: reserved(700) }).allows(fast));
  t.false(budgetOf({ own: 100 * MB, claimed: reserved(800) }).allows(fast));
});

test('from each source no more than it can give in that time', t => {
  const hoped = new Map([[fast, 20 * MB]]);
  const budget = budgetOf({ own: 100 * MB, hoped });
  budget.spend(fast, 160 * MB);
  t.false(budget.allows(fast));
  t.true(budget.allows(other));
});

test('the first parcel of a source may go some way beyond', t => {
  const budget = budgetOf({ claimed: [[fast, 200 * MB]] });
  t.true(budget.allows(other));
  budget.spend(other, 100 * MB);
  t.false(budget.allows(slow));
});

test('a large parcel that comes over a part of this host’s link keeps it from no other source', t => {
  const third = hostNumber(4);
  const hoped = new Map([fast, other, third].map(source => [source, 100 * MB]));
  const budget = budgetOf({ own: 150 * MB, hoped });
  budget.spend(fast, 10 * GB);
  t.false(budget.allows(fast));
  t.true(budget.allows(other));
  budget.spend(other, 10 * GB);
  t.false(budget.allows(third));
});

test('parcels of slow sources, however large, keep the others from nothing', t => {
  const hoped = new Map([[slow, 10 * MB]]);
  const budget = budgetOf({ hoped, claimed: [[slow, 100 * GB]] });
  t.false(budget.allows(slow));
  t.true(budget.allows(fast));
});

test('of slow sources only as many are claimed from as are fetched from at once', t => {
  const sources = Array.from({ length: 9 }, (_, i) => hostNumber(i + 10));
  const hoped = new Map(sources.map(source => [source, MB]));
  const budget = budgetOf({ hoped });
  for (const source of sources.slice(0, 8)) budget.spend(source, MB);
  t.true(budget.allows(sources[0] as HostId));
  t.false(budget.allows(sources[8] as HostId));
});

test('what was not claimed costs nothing', t => {
  const hoped = new Map([[slow, 10 * MB]]);
  const budget = budgetOf({ hoped });
  budget.spend(slow, 0);
  budget.spend(slow, 0);
  t.true(budget.allows(slow));
});
