/**
 * Move checker: sees a move that goes on though it was refused, and counts those that end as they should, from
 * happenings that are made up.
 */
import test from 'ava';
import { MoveChecker } from '../../sim/checkers/moves.js';
import { noCounts } from '../../sim/counts.js';
import type { Happening } from '../../sim/happening.js';
import type { World } from '../../sim/world.js';
import { type HostId, type ParcelId, parseHostId, parseParcelId, parseStoreId } from '../../src/core/ids.js';

const FIRST = parseParcelId('1'.repeat(64));
const SECOND = parseParcelId('2'.repeat(64));
const TAKER: HostId = parseHostId('3'.repeat(32));
const STORE = parseStoreId('4'.repeat(32));

/** A host that has offered two parcels to another one. */
function offered() {
  const here = new Set([FIRST, SECOND]);
  const there = new Set<ParcelId>();
  const pending = { relocations: 1 };
  const known = {
    storeOf: (parcel: ParcelId) => (here.has(parcel) ? STORE : undefined),
    holders: (parcel: ParcelId) => (there.has(parcel) ? [{ host: TAKER, counts: true }] : []),
    pending: () => pending,
  };
  const by = { host: { number: 1 }, machine: { known } };
  const counts = noCounts();
  const checker = new MoveChecker({ hosts: [{ running: by }], counts } as unknown as World);
  const see = (happening: object): void => checker.see({ ...happening, by } as unknown as Happening);
  const steps = (begun: readonly ParcelId[] = []): void => {
    for (const parcel of begun) see({ is: 'effect', effect: { do: 'prove-own', parcel } });
    see({ is: 'stepped', input: { is: 'wake' } });
  };
  see({ is: 'effect', effect: { do: 'offer-relocation', offer: 7, to: TAKER, parcels: [FIRST, SECOND] } });
  steps();
  return {
    here,
    there,
    pending,
    counts,
    checker,
    steps,
    isAnswered: (accepted: boolean): void =>
      see({ is: 'told', input: { is: 'relocation-answered', offer: 7, accepted } }),
  };
}

const GOES_ON = { message: 'I10: h1 has 1 moves under way, and 0 may be' };

test('a move that goes on though it was refused is seen, then and in full (I10)', t => {
  const { isAnswered, steps, checker, pending } = offered();
  t.notThrows(() => checker.full());
  isAnswered(false);
  t.throws(() => steps(), GOES_ON);
  t.throws(() => checker.full(), GOES_ON);
  pending.relocations = 0;
  t.notThrows(() => steps());
});

test('… and one that goes on though all has left (I10)', t => {
  const { isAnswered, steps, here } = offered();
  isAnswered(true);
  here.delete(FIRST);
  t.notThrows(() => steps());
  here.delete(SECOND);
  t.throws(() => steps(), GOES_ON);
});

test('a move is handed over where the drop of all that stays begins as soon as the other host has it', t => {
  const { isAnswered, steps, there, counts } = offered();
  isAnswered(true);
  steps([FIRST, SECOND]);
  there.add(FIRST);
  steps([FIRST, SECOND]);
  t.is(counts.handedOver, 0);
  there.add(SECOND);
  steps([FIRST, SECOND]);
  steps([FIRST, SECOND]);
  t.is(counts.handedOver, 1);
});

test('… and not where it begins later, or with a part, or nothing was accepted', t => {
  for (const [accepted, begun] of [
    [true, []],
    [true, [FIRST]],
    [false, [FIRST, SECOND]],
  ] as const) {
    const { isAnswered, steps, there, pending, counts } = offered();
    isAnswered(accepted);
    if (!accepted) pending.relocations = 0;
    for (const parcel of [FIRST, SECOND]) there.add(parcel);
    steps(begun);
    steps([FIRST, SECOND]);
    t.is(counts.handedOver, 0);
  }
});
