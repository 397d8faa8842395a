import test from 'ava';
import fc from 'fast-check';
import { makeRoom, type RoomyStore, wantedBytes } from '../../src/daemon/store-room.js';
import type { Lending } from '../../src/membership/policy.js';

/** A store on a disk of 1000 bytes, some of which others use; what is removed from the trash is free on the disk. */
class Disk implements RoomyStore {
  readonly emptied: number[] = [];
  heldBytes: number;
  trashBytes: number;
  othersBytes: number;

  constructor({
    held,
    trash,
    others = 0,
  }: { readonly held: number; readonly trash: number; readonly others?: number }) {
    this.heldBytes = held;
    this.trashBytes = trash;
    this.othersBytes = others;
  }

  get freeBytes(): number {
    return 1000 - this.heldBytes - this.trashBytes - this.othersBytes;
  }

  async usage() {
    const { heldBytes, trashBytes, freeBytes } = this;
    return { usedBytes: heldBytes + trashBytes, trashBytes, freeOnDiskBytes: freeBytes, totalOnDiskBytes: 1000 };
  }

  /** As the real one has it. */
  async lentBytes(limit: { readonly limitBytes: number } | { readonly reserveBytes: number }): Promise<number> {
    const { usedBytes } = await this.usage();
    return 'limitBytes' in limit
      ? Math.min(limit.limitBytes, usedBytes + this.freeBytes)
      : usedBytes + Math.max(0, this.freeBytes - limit.reserveBytes);
  }

  async emptyTrash(limit: { readonly olderThanMs: number } | { readonly freeBytes: number }): Promise<void> {
    const bytes = 'freeBytes' in limit ? limit.freeBytes : 0;
    this.emptied.push(bytes);
    this.trashBytes -= Math.min(bytes, this.trashBytes);
  }
}

const limit = (bytes: number): Lending => ({ kind: 'limit', bytes });
const reserve = (bytes: number): Lending => ({ kind: 'reserve', bytes });
const nothing = (): number => 0;

test('trash is no used room to the machine, and stays while there is room for all', async t => {
  const disk = new Disk({ held: 100, trash: 200 });
  t.deepEqual(await makeRoom(disk, { lends: limit(400), reservedBytes: () => 100 }), {
    lentBytes: 400,
    usedBytes: 100,
  });
  t.deepEqual(disk.emptied, []);
});

test('as much trash goes as stands between what is used and reserved and what is lent, and no more', async t => {
  const disk = new Disk({ held: 100, trash: 200 });
  t.deepEqual(await makeRoom(disk, { lends: limit(400), reservedBytes: () => 101 }), {
    lentBytes: 400,
    usedBytes: 100,
  });
  t.deepEqual(disk.emptied, [1]);
  await makeRoom(disk, { lends: limit(50), reservedBytes: nothing });
  t.is(disk.trashBytes, 0, 'what is held can be more than is lent, and stays');
  t.is(disk.heldBytes, 100);
});

test('a store that is to leave room gives its trash up first when others fill the disk', async t => {
  const disk = new Disk({ held: 100, trash: 200, others: 650 });
  t.deepEqual(await makeRoom(disk, { lends: reserve(100), reservedBytes: nothing }), {
    lentBytes: 250,
    usedBytes: 100,
  });
  t.deepEqual(disk.emptied, [50]);

  const fifth = { kind: 'reserve-share', percent: 20 } as const;
  t.deepEqual(await makeRoom(disk, { lends: fifth, reservedBytes: nothing }), { lentBytes: 150, usedBytes: 100 });
  t.deepEqual(disk.emptied, [50, 100]);
});

test('law: what the machine may fill fits on the disk, whatever lies in the trash', async t => {
  const size = fc.integer({ min: 0, max: 300 });
  const lends = fc.oneof(fc.integer({ min: 0, max: 1200 }).map(limit), fc.integer({ min: 0, max: 1000 }).map(reserve));
  await fc.assert(
    fc.asyncProperty(
      size,
      size,
      size,
      lends,
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (held, trash, others, lending, share) => {
        const disk = new Disk({ held, trash, others });
        const told = await makeRoom(disk, { lends: lending, reservedBytes: nothing });
        t.is(told.usedBytes, held);
        // Whatever the machine then reserves within what it was told fits, when room has been made for it.
        const reservedBytes = Math.floor(Math.max(0, told.lentBytes - told.usedBytes) * share);
        await makeRoom(disk, { lends: lending, reservedBytes: () => reservedBytes });
        t.true(reservedBytes <= Math.max(0, disk.freeBytes));
        if (lending.kind === 'limit' && reservedBytes > 0)
          t.true(disk.heldBytes + disk.trashBytes + reservedBytes <= lending.bytes);
        if (lending.kind === 'reserve' && reservedBytes > 0) t.true(disk.freeBytes - reservedBytes >= lending.bytes);
        t.is(disk.heldBytes, held);
      },
    ),
  );
});

test('what is free on a disk is promised once: to each store an equal share, and what one may not take to the others', async t => {
  /** What each of these stores lends beyond what it holds, on a disk with so much free. */
  const promised = async (free: number, lendings: readonly Lending[]): Promise<number[]> => {
    const wants = lendings.map(lends => wantedBytes(lends, 0));
    return Promise.all(
      lendings.map(async (lends, at) => {
        const disk = new Disk({ held: 0, trash: 0, others: 1000 - free });
        const room = { lends, reservedBytes: nothing, othersWantBytes: wants.toSpliced(at, 1) };
        return (await makeRoom(disk, room)).lentBytes;
      }),
    );
  };
  t.deepEqual(await promised(710, [reserve(110), reserve(110), reserve(110)]), [200, 200, 200]);
  t.deepEqual(await promised(710, [limit(10), reserve(0), reserve(0)]), [10, 350, 350]);
  t.deepEqual(await promised(710, [limit(10), limit(500), limit(500)]), [10, 350, 350]);
  t.deepEqual(await promised(710, [limit(300), limit(300)]), [300, 300]);
  t.deepEqual(await promised(710, [limit(0), reserve(10)]), [0, 700]);
  t.deepEqual(await promised(710, [reserve(10), reserve(610)]), [350, 50]);
  t.deepEqual(await promised(5, [reserve(10), reserve(0)]), [0, 2]);
});

test('of all that several stores promise, none is promised twice', async t => {
  const lending = fc.record({ limits: fc.boolean(), bytes: fc.nat({ max: 1000 }), held: fc.nat({ max: 300 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(lending, { minLength: 1, maxLength: 3 }), async stores => {
      const held = stores.reduce((sum, store) => sum + store.held, 0);
      const wants = stores.map(({ limits, bytes, held: own }) =>
        wantedBytes(limits ? limit(bytes) : reserve(bytes), own),
      );
      let promised = 0;
      for (const [at, { limits, bytes, held: own }] of stores.entries()) {
        const disk = new Disk({ held: own, trash: 0, others: held - own });
        const { lentBytes } = await makeRoom(disk, {
          lends: limits ? limit(bytes) : reserve(bytes),
          reservedBytes: nothing,
          othersWantBytes: wants.toSpliced(at, 1),
        });
        promised += Math.max(0, lentBytes - own);
      }
      t.true(promised <= 1000 - held);
    }),
  );
});
