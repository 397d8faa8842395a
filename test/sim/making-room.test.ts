/** Making room: what is demanded of relocation, and which moves count as finished. */
import test from 'ava';
import { everyParcelHas } from '../../sim/checks.js';
import { noCounts } from '../../sim/counts.js';
import { FinishedMoves } from '../../sim/finished-moves.js';
import type { Happening } from '../../sim/happening.js';
import { whoCanMakeRoom } from '../../sim/making-room.js';
import { everyParcelHasItsCopies } from '../../sim/settle.js';
import { MIB, MINUTE_MS, World } from '../../sim/world.js';
import { type ParcelId, parseParcelId } from '../../src/core/ids.js';

const NEVER_MS = 1_000 * 3_600_000;

/** A parcel of 90 MiB, and two hosts of 100 MiB that have so many small ones that it fits into neither. */
function largeParcelIn(world: World): ParcelId {
  const [origin] = world.addHosts(1, { freeBytes: 0 });
  world.addHosts(2, { freeBytes: 100 * MIB });
  if (origin === undefined) throw new Error('no origin');
  world.backUp(origin, { parcels: 12, sizeBytes: 8 * MIB, copiesWanted: 1 });
  world.eventually(everyParcelHas(1), { withinMs: 5 * MINUTE_MS });
  const [large] = world.backUp(origin, { parcels: 1, sizeBytes: 90 * MIB });
  if (large === undefined) throw new Error('no parcel');
  world.run(2 * MINUTE_MS);
  return large;
}

test('a parcel that fits only once something has moved is due (I10)', t => {
  const world = new World({ timing: { relocateMs: NEVER_MS } });
  const large = largeParcelIn(world);
  t.is(world.copies(large), 0);
  t.regex(everyParcelHasItsCopies(world) ?? '', /has 0 of 1 copies, and h[12] could make room for it/);
});

test('no more is due than one move can do (I10)', t => {
  const world = new World({ timing: { relocateMs: NEVER_MS } });
  const large = world.catalog.parcel(largeParcelIn(world));
  if (large === undefined) return t.fail();
  for (const { stores } of world.hosts) for (const store of stores) store.quotaBytes = store.usedBytes;
  t.is(whoCanMakeRoom(world, large), undefined);
  t.is(everyParcelHasItsCopies(world), undefined);
});

test('the hosts do what is due (I10)', t => {
  const world = new World();
  const large = largeParcelIn(world);
  world.eventually(everyParcelHasItsCopies, { withinMs: 15 * MINUTE_MS });
  t.is(world.copies(large), 1);
  t.true(world.counts.relocations > 0);
});

const [NEEDED, FIRST, SECOND] = ['1', '2', '3'].map(digit => parseParcelId(digit.repeat(64))) as [
  ParcelId,
  ParcelId,
  ParcelId,
];

/** What one move, whose offer was answered like this, counts for after these operations. */
function counted({ accepted = true, ops }: { readonly accepted?: boolean; readonly ops: readonly object[] }): number {
  const counts = noCounts();
  const moves = new FinishedMoves(counts);
  const by = { host: {} as { running?: object } };
  by.host.running = by;
  const happenings = [
    {
      is: 'effect',
      by,
      effect: { do: 'offer-relocation', offer: 1, needed: NEEDED, parcels: [FIRST, SECOND] },
    },
    { is: 'told', by, input: { is: 'relocation-answered', offer: 1, accepted } },
    ...ops.map(op => ({ is: 'durable', host: by.host, op })),
  ];
  for (const happening of happenings) moves.see(happening as unknown as Happening);
  return counts.relocations;
}

test('a move counts when all has left and what needed the room is there', t => {
  const left = [FIRST, SECOND].map(parcel => ({ op: 'del', parcel }));
  const landed = { op: 'add', parcel: NEEDED };
  t.is(counted({ ops: [...left, landed] }), 1);
  t.is(counted({ ops: [...left, landed], accepted: false }), 0);
  t.is(counted({ ops: left }), 0, 'it came to nothing');
  t.is(counted({ ops: [...left.slice(1), landed, ...left.slice(0, 1)] }), 0, 'it found room elsewhere');
});
