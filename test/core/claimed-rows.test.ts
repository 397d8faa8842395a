import test from 'ava';
import { CLAIMED_ROWS_MAX, ClaimedRows } from '../../src/core/claimed-rows.js';
import { hashHex } from '../../src/core/hash.js';
import { type ParcelId, parseParcelId } from '../../src/core/ids.js';
import { CLAIMS_PER_MESSAGE_MAX } from '../../src/core/messages.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const HOST = 'a' as never;

test('a host may have made so many rows that no page describes, each host for itself', t => {
  const described = new Set<number>();
  const rows = new ClaimedRows({ source: row => (described.has(row) ? 0 : -1) });
  for (let row = 0; row < CLAIMED_ROWS_MAX; row += 1) {
    t.true(rows.mayMake(HOST));
    rows.made(HOST, row);
  }
  rows.recount(HOST);
  t.false(rows.mayMake(HOST));
  t.true(rows.mayMake('b' as never));
  described.add(7);
  rows.recount(HOST);
  t.true(rows.mayMake(HOST));
  rows.made(HOST, CLAIMED_ROWS_MAX);
  t.false(rows.mayMake(HOST));
});

test('who claims what nobody knows, takes it back and claims other such is not heard for ever; of what is known it is', t => {
  const world = new SmallWorld([{}, { lentBytes: 0 }, { lentBytes: 0 }]);
  const [origin, flooding, other] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(5_000);
  const [known] = world.backUp(origin, [{ bytes: MIB }]) as [ParcelId];
  world.run(5_000);
  const hears = ({ id }: SmallHost, claims: readonly ParcelId[], withdrawn: readonly ParcelId[] = []): number => {
    const message = {
      kind: 'claims',
      store: origin.store,
      claims: claims.map(parcel => ({ parcel, ttlMs: 60_000 })),
      withdrawn,
    } as const;
    world.tell(origin, { is: 'heard', nowMs: world.nowMs, from: id, message });
    return origin.machine.known.pending().othersClaims;
  };
  let made = 0;
  const unknown = (): ParcelId => parseParcelId(hashHex(Buffer.from(`unknown ${++made}`)));
  t.is(hears(flooding, [unknown()]), 1);
  for (let claimed = 0; claimed < CLAIMED_ROWS_MAX; claimed += CLAIMS_PER_MESSAGE_MAX) {
    const parcels = Array.from({ length: CLAIMS_PER_MESSAGE_MAX }, unknown);
    hears(flooding, parcels);
    hears(flooding, [], parcels);
  }
  t.is(hears(flooding, [unknown(), known]), 2, 'the first and the known one');
  t.is(hears(other, [unknown()]), 3);
});
