import test from 'ava';
import { type HostId, type ObjectId, sourceIdOf } from '../../src/core/ids.js';
import { Forgetting } from '../../src/daemon/forgetting.js';
import { RELEASED_MAX } from '../../src/membership/configuration.js';

const SOURCE = sourceIdOf('a'.repeat(32) as HostId, 'photos');

test('of more held snapshots than are let go at once it is said how many stay, by a dry run as by the real one', async t => {
  const held = Array.from({ length: RELEASED_MAX + 3 }, (_, n) => ({
    id: n.toString(16).padStart(64, '0') as ObjectId,
    timeMs: n,
  }));
  const signed: (readonly ObjectId[])[] = [];
  const forgetting = new Forgetting({
    membership: {
      admin: {
        mustHaveKey: () => undefined,
        releaseSnapshots: async (ids: readonly ObjectId[]) => void signed.push(ids),
      },
      clusterConfig: { timing: { gcGraceMs: 1 } },
    },
    origin: { ownSource: () => undefined },
    names: { named: () => SOURCE, nameOf: () => 'photos' },
    snapshots: {
      held: () => held.filter(({ id }) => !signed.flat().includes(id)),
      report: async (_: unknown, { id }: { readonly id: ObjectId }) => ({ id }),
    },
  } as unknown as ConstructorParameters<typeof Forgetting>[0]);
  const forget = (dryRun: boolean) =>
    forgetting.unlist({ source: 'photos', now: true, dryRun, yes: true } as never, new AbortController().signal);
  for (const dryRun of [true, false]) {
    const { released, heldStill } = await forget(dryRun);
    t.deepEqual([released.length, heldStill], [RELEASED_MAX, 3]);
  }
  t.deepEqual(signed, [held.slice(0, RELEASED_MAX).map(({ id }) => id)]);
  const last = await forget(false);
  t.deepEqual([last.released.length, last.heldStill], [3, undefined]);
});
