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
      listed: () => [],
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

test('of an archived source no rules are applied, on its origin as elsewhere; what is listed is told of as staying', async t => {
  const one = { id: 'c'.repeat(64) as ObjectId, timeMs: 1 };
  const forgetting = new Forgetting({
    membership: { clusterConfig: { timing: { gcGraceMs: 1 } } },
    origin: { ownSource: () => undefined },
    names: { named: () => SOURCE, nameOf: () => 'dbs', isArchived: () => true },
    snapshots: { listed: () => [one], held: () => [] },
    roster: { nameOf: () => 'imac' },
  } as unknown as ConstructorParameters<typeof Forgetting>[0]);
  const asked = { source: 'dbs', dryRun: true, yes: false };
  const { signal } = new AbortController();
  const archived = {
    code: 'SOURCE_ARCHIVED',
    message: /^dbs is archived: .*forget dbs --archived.*Nothing was changed$/,
  };
  await t.throwsAsync(forgetting.unlist({ ...asked, now: false }, signal), archived);
  await t.throwsAsync(forgetting.future(asked, signal), archived);
  t.like(await forgetting.unlist({ ...asked, now: true }, signal), { snapshots: [], released: [], unjudged: 1 });
});
