import test from 'ava';
import fc from 'fast-check';
import { claimTurnMs, decideGrab, type GrabView } from '../../src/core/grab.js';
import { law } from '../helpers/law.js';

const view = (change: Partial<GrabView> = {}): GrabView => ({
  nowMs: 10_000,
  wanted: true,
  isOrigin: false,
  held: false,
  copiesWanted: 2,
  copies: 0,
  relocated: false,
  domainTaken: false,
  mayHold: true,
  hasRoom: true,
  hasSource: true,
  atHand: false,
  claims: 0,
  betterClaims: 0,
  unsaid: false,
  ownDomainClaimed: false,
  ownDomainBetterClaimed: false,
  leftToFamily: false,
  leftToSteady: false,
  rank: 0,
  lackersBefore: 0,
  shortSinceMs: 10_000,
  filledMs: Number.NEGATIVE_INFINITY,
  stepMs: 4_000,
  lastPlace: false,
  leftUntilMs: Number.NEGATIVE_INFINITY,
  claimed: false,
  notBeforeMs: Number.NEGATIVE_INFINITY,
  ...change,
});

test('each reason to leave a parcel alone has its own word', t => {
  const because = (change: Partial<GrabView>) => {
    const verdict = decideGrab(view(change));
    return verdict.act === 'decline' ? verdict.because : verdict.act;
  };
  t.is(because({ wanted: false }), 'not-wanted');
  t.is(because({ isOrigin: true }), 'origin');
  t.is(because({ held: true }), 'held');
  t.is(because({ mayHold: false }), 'may-not-hold');
  t.is(because({ copies: 2 }), 'enough-copies');
  t.is(because({ domainTaken: true }), 'domain-taken');
  t.is(because({ hasRoom: false }), 'no-room');
  t.is(because({}), 'grab');
});

test('what is at hand is taken without a second look, by as many of those that lack it as copies are missing', t => {
  const atHand = { atHand: true, copiesWanted: 3 };
  const act = (change: Partial<GrabView>) => decideGrab(view({ ...atHand, ...change })).act;
  t.is(act({}), 'take');
  t.is(act({ lackersBefore: 2, rank: 2 }), 'take');
  t.is(act({ lackersBefore: 1, rank: 2, copies: 1 }), 'take');
  t.is(act({ lackersBefore: 1, rank: 2, copies: 2 }), 'grab', 'another one takes it');
  t.is(act({ rank: 2, copies: 2 }), 'take', 'those before it have it');
  t.is(act({ lastPlace: true }), 'grab', 'all begin at once');
  t.is(act({ rank: 3, lackersBefore: 3 }), 'wait', 'its turn comes later');
  t.is(act({ claims: 3 }), 'wait', 'others are fetching it');
  t.is(act({ claimed: true, betterClaims: 3, lackersBefore: 2 }), 'take', 'those before it are counted already');
  t.is(act({ claimed: true, betterClaims: 3, lackersBefore: 3 }), 'wait');
  t.is(act({ claimed: true, ownDomainClaimed: true }), 'grab');
});

test('where hosts of the family could take it, others wait four turns more, unless it is the last place', t => {
  const dueMs = 10_000 + 5 * 4_000;
  const left = { leftToFamily: true, rank: 2 };
  t.deepEqual(decideGrab(view({ ...left, nowMs: dueMs - 1 })), { act: 'wait', untilMs: dueMs, because: 'turn' });
  t.deepEqual(decideGrab(view({ ...left, nowMs: dueMs })), { act: 'grab' });
  t.deepEqual(decideGrab(view({ ...left, lastPlace: true })), { act: 'grab' });
});

test('what would be one copy too many on roaming hosts is left to the others while they fill anything, for a day, and never in the last place', t => {
  const left = { leftToSteady: true };
  const MINUTE_MS = 60_000;
  const until = (untilMs: number) => ({ act: 'wait', untilMs, because: 'roaming' });
  t.deepEqual(decideGrab(view(left)), until(10_000 + 15 * MINUTE_MS) as never);
  t.is(decideGrab(view({ ...left, nowMs: 10_000 + 15 * MINUTE_MS })).act, 'grab');
  const filled = { ...left, nowMs: 90 * MINUTE_MS, filledMs: 89 * MINUTE_MS };
  t.deepEqual(decideGrab(view(filled)), until(104 * MINUTE_MS) as never);
  const dayMs = 24 * 60 * MINUTE_MS;
  t.is(decideGrab(view({ ...left, nowMs: 9_999 + dayMs, filledMs: 9_000 + dayMs })).act, 'wait');
  t.is(decideGrab(view({ ...left, nowMs: 10_000 + dayMs, filledMs: 9_000 + dayMs })).act, 'grab');
  t.is(decideGrab(view({ ...left, lastPlace: true })).act, 'grab');
});

test('the first N ranks start at once and each later rank waits one more turn', t => {
  for (const [rank, turns] of [
    [0, 0],
    [1, 0],
    [2, 1],
    [5, 4],
  ] as const) {
    const dueMs = 10_000 + turns * 4_000;
    t.deepEqual(decideGrab(view({ rank, nowMs: dueMs })), { act: 'grab' });
    if (turns > 0) {
      t.deepEqual(decideGrab(view({ rank, nowMs: dueMs - 1 })), { act: 'wait', untilMs: dueMs, because: 'turn' });
    }
  }
});

test('with the last place left nobody waits for a turn', t => {
  t.is(decideGrab(view({ rank: 9, lastPlace: true })).act, 'grab');
});

test('before claiming, anybody’s claim counts; after claiming, only better-ranked ones do', t => {
  t.is(decideGrab(view({ claims: 2 })).act, 'wait');
  t.is(decideGrab(view({ claims: 1 })).act, 'grab');
  t.is(decideGrab(view({ claimed: true, claims: 2, betterClaims: 1 })).act, 'grab');
  t.is(decideGrab(view({ claimed: true, claims: 2, betterClaims: 2 })).act, 'wait');
});

test('who has not said its claim gives way to whoever has, and who ranks later says it later', t => {
  const own = { claimed: true, unsaid: true, rank: 1 };
  t.is(decideGrab(view({ ...own, claims: 1 })).act, 'grab');
  t.is(decideGrab(view({ ...own, claims: 2 })).act, 'wait');
  t.is(decideGrab(view({ ...own, claims: 1, ownDomainClaimed: true })).act, 'wait');
  t.deepEqual(
    [0, 1, 2].map(rank => claimTurnMs(rank, 2_000)),
    [0, 50, 100],
  );
  t.is(claimTurnMs(1_000_000, 2_000), claimTurnMs(15, 2_000));
});

test('two hosts of one domain do not both go on', t => {
  t.is(decideGrab(view({ claims: 1, ownDomainClaimed: true })).act, 'wait');
  t.is(
    decideGrab(
      view({ claimed: true, claims: 1, betterClaims: 1, ownDomainClaimed: true, ownDomainBetterClaimed: true }),
    ).act,
    'wait',
  );
  t.is(decideGrab(view({ claimed: true, claims: 1, ownDomainClaimed: true })).act, 'grab');
});

test('a failure’s back-off is kept', t => {
  t.deepEqual(decideGrab(view({ notBeforeMs: 10_001 })), { act: 'wait', untilMs: 10_001, because: 'back-off' });
  t.is(decideGrab(view({ notBeforeMs: 10_000 })).act, 'grab');
});

test('a host that has claimed does not need the room twice', t => {
  t.is(decideGrab(view({ claimed: true, hasRoom: false })).act, 'grab');
});

test('law: of hosts that all claimed, exactly the missing number goes on, whatever their order', t => {
  law(
    t,
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 5 }),
      fc.integer({ min: 1, max: 12 }),
      (copiesWanted, copies, hosts) => {
        const going = Array.from({ length: hosts }, (_, rank) =>
          decideGrab(view({ copiesWanted, copies, claimed: true, rank, claims: hosts - 1, betterClaims: rank })),
        ).filter(({ act }) => act === 'grab').length;
        return going === Math.min(hosts, Math.max(0, copiesWanted - copies));
      },
    ),
  );
});

test('what is left to faster hosts waits, also as the last place, and only so long', t => {
  const left = { leftUntilMs: 15_000, lastPlace: true };
  t.deepEqual(decideGrab(view(left)), { act: 'wait', untilMs: 15_000, because: 'slow' });
  t.deepEqual(decideGrab(view({ ...left, nowMs: 15_000 })), { act: 'grab' });
  t.deepEqual(decideGrab(view({ ...left, claimed: true })), { act: 'grab' });
});
