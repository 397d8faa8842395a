/** Named snapshots, and what `status` and `snapshots` tell when the state's disk has lost some. */
import test, { type ExecutionContext } from 'ava';
import type { WantedSnapshot } from '../../src/catalog/source-spec.js';
import { walkReadable } from '../../src/catalog/walk-readable.js';
import { ClusterError } from '../../src/core/fault.js';
import { type HostId, type ObjectId, type ParcelId, type SourceId, sourceIdOf } from '../../src/core/ids.js';
import type { ObjectReader } from '../../src/core/objects.js';
import { Answers } from '../../src/daemon/answers.js';
import { NamedSnapshots } from '../../src/daemon/named-snapshots.js';
import { MendingObjects } from '../../src/daemon/object-finder.js';
import { Protections } from '../../src/daemon/protection.js';
import type { SourceSetting } from '../../src/membership/policy.js';
import { KeptObjects } from '../catalog/kept-objects.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';

const NEVER = new AbortController().signal;
const otherSource = sourceIdOf('cd'.repeat(16) as HostId, 'music');

/** A host that knows of two sources with the same snapshot; what its own disk has lost, `finder` may have. */
async function aService(
  t: ExecutionContext,
  finder: (source: ScratchSource) => ObjectReader,
  {
    wallMs = anyTimeMs,
    settings = [],
  }: { readonly wallMs?: number; readonly settings?: readonly Partial<SourceSetting>[] } = {},
) {
  const source = new ScratchSource(t);
  source.write({ 'one.txt': 'one' });
  await source.take();
  const own = new KeptObjects();
  const mending = new MendingObjects({ own, finder: finder(source) });
  const known = {
    copiesWanted: () => 1,
    copies: () => 1,
    summary: () => ({ parcels: 1, haveMin: 1, under: 0, over: 0 }),
    pending: () => ({ pursuits: 0, fetches: 0, othersClaims: 0, attempts: 0, relocations: 0 }),
  };
  const lists = (id: ObjectId | undefined) => ({
    head: { snapshots: [{ id, timeMs: anyTimeMs, complete: true, firstSeq: 1 }] },
  });
  const lost = 'ee'.repeat(32) as ObjectId;
  const answers = new Answers({
    membership: {
      clusterConfig: { sources: [] },
      configuration: {
        archived: [],
        policy: { hosts: new Map([['imac', { sources: settings }]]) },
      },
      alarms: () => [],
    },
    catalog: {
      objects: own,
      sources: () => [aSource, otherSource],
      get: (asked: SourceId) => lists(asked === aSource ? source.last : lost),
    },
    roster: {
      members: () => [],
      member: () => undefined,
      sourceName: (asked: SourceId) => (asked === aSource ? 'photos' : 'music'),
      nameOf: () => 'imac',
    },
    protections: new Protections({ known, reader: mending, isReachable: () => true } as never),
    known,
    mending,
    origin: { missing: () => undefined },
    alarms: { list: () => [] },
    addresses: () => [],
    loopDelay: { report: () => ({ p99Ms: 0, maxMs: 0 }) },
    pausing: { untilMs: undefined },
    clock: { nowMs: () => 0, wallMs: () => wallMs },
  } as unknown as ConstructorParameters<typeof Answers>[0]);
  return { answers, own, source, lost };
}

test('a snapshot that is lost here comes from whoever has it, and is here again', async t => {
  const { answers, own, source } = await aService(t, ({ objects }) => objects);
  const [photos] = await answers.snapshots({ source: 'photos' }, NEVER);
  t.like(photos, { id: source.last, files: 1, bytes: 3, protected: true, unreadable: undefined });
  t.true(await own.has(source.last as ObjectId));
});

test('one that nobody has is told as that, and takes no other away from status and snapshots', async t => {
  const { answers, lost } = await aService(t, ({ objects }) => objects);
  const status = await answers.status(NEVER);
  t.deepEqual(
    status.sources.map(({ source, lastSnapshot }) => [source, lastSnapshot?.files, lastSnapshot?.protected]),
    [
      ['photos', 1, true],
      ['music', 0, false],
    ],
  );
  t.false(status.protected);
  const unreadable = status.sources[1]?.lastSnapshot?.unreadable ?? '';
  t.regex(unreadable, new RegExp(`the snapshot ${lost} is not here`));
  const listed = await answers.snapshots({}, NEVER);
  t.deepEqual(
    listed.map(one => [one.source, one.unreadable]),
    [
      ['photos', undefined],
      ['music', unreadable],
    ],
  );
});

test('a disk that refuses what would mend it is told of the same way; an abort is no such thing', async t => {
  const full = new ClusterError('DISK_FULL', 'no room', { blame: 'operator' });
  const { answers } = await aService(t, () => ({ get: () => Promise.reject(full) }));
  const listed = await answers.snapshots({}, NEVER);
  t.deepEqual(
    listed.map(({ unreadable }) => unreadable),
    ['no room', 'no room'],
  );
  const reason = new Error('enough');
  await t.throwsAsync(answers.snapshots({}, AbortSignal.abort(reason)), { is: reason });
});

test('a snapshot is fresh until two more should have been taken, and one from the future is not', async t => {
  const hourly = { name: 'photos', schedule: { kind: 'every', everyMs: 3_600_000 }, jitterMs: 0 } as const;
  const freshAfter = async (hours: number): Promise<readonly boolean[]> => {
    const wallMs = anyTimeMs + hours * 3_600_000;
    const { answers } = await aService(t, ({ objects }) => objects, { wallMs, settings: [hourly] });
    return (await answers.status(NEVER)).sources.map(({ fresh }) => fresh);
  };
  // The other one is not configured any more.
  t.deepEqual(await freshAfter(2), [true, true]);
  t.deepEqual(await freshAfter(2.1), [false, true]);
  t.deepEqual(await freshAfter(-1), [true, true]);
  t.deepEqual(await freshAfter(-1.1), [false, true]);
});

test('of a part of a snapshot only what is below it counts as unreachable, and no host that was revoked is waited for', async t => {
  const source = new ScratchSource(t);
  source.write({ 'here/a': 'a'.repeat(8 * 1024 * 1024), 'there/b': 'b'.repeat(8 * 1024 * 1024) });
  await source.take();
  const { objects } = source;
  const id = source.last as ObjectId;
  const lost = new Set<ParcelId>();
  for await (const item of walkReadable(objects, id))
    if (item.is === 'entry' && item.entry.path.toString() === 'there/b') lost.add(item.parcel);
  const holders = (parcel: ParcelId) =>
    lost.has(parcel) ? [{ host: 'away' }, { host: 'shut-out' }] : [{ host: 'here' }];
  const snapshots = new NamedSnapshots({
    catalog: { get: () => ({ head: { snapshots: [{ id, timeMs: anyTimeMs }] } }), heldSnapshots: () => [] },
    objects,
    names: { nameOf: () => 'photos' },
    roster: { nameOf: (host: string) => host, peerOf: (host: string) => (host === 'shut-out' ? undefined : host) },
    protections: new Protections({
      known: { holders },
      reader: objects,
      isReachable: (host: string) => host === 'here',
    } as never),
  } as unknown as ConstructorParameters<typeof NamedSnapshots>[0]);
  const unreachable = async (path: string) => {
    const spec = { kind: 'id', prefix: id.slice(0, 8) } as const;
    return (await snapshots.choose(aSource, spec, NEVER, Buffer.from(path))).unreachable;
  };
  const all = { parcels: 1, bytes: 8 * 1024 * 1024, hosts: ['away'] };
  t.deepEqual(await unreachable(''), all);
  t.deepEqual(await unreachable('there'), all);
  t.deepEqual(await unreachable('there/b'), all);
  t.is(await unreachable('here'), undefined);
  const latest = { kind: 'latest' } as const;
  await t.throwsAsync(snapshots.choose(aSource, latest, NEVER), { code: 'UNREACHABLE' });
  t.is((await snapshots.chooseThoughAway(aSource, latest, NEVER)).listed.id, id, 'to ask who has what of it');
});

test('a time from which only unlisted snapshots are held is told of so, and how they are had', async t => {
  const named = async (...listed: { id: string; timeMs: number }[]) => {
    const held = [2_000, 3_000, 9_000].map(timeMs => ({ id: `${timeMs}`.padEnd(64, 'a'), timeMs }));
    const snapshots = new NamedSnapshots({
      catalog: { get: () => ({ head: { snapshots: listed } }), heldSnapshots: () => held },
      names: { nameOf: () => 'photos' },
      protections: { reach: async () => ({ parcels: 0, bytes: 0, hosts: new Set() }) },
    } as unknown as ConstructorParameters<typeof NamedSnapshots>[0]);
    const choose = async (spec: WantedSnapshot) =>
      snapshots.choose(aSource, spec, NEVER).then(
        chosen => chosen.listed.id.slice(0, 4),
        (error: Error) => error.message,
      );
    return choose;
  };
  const one = await named({ id: 'b'.repeat(64), timeMs: 8_000 });
  t.is(
    await one({ kind: 'time', beforeMs: 5_000 }),
    'source photos has no snapshot from that time or before that is listed; 2 that are no longer listed are still held here, and can be had by id; see: snapshots photos --held',
  );
  t.regex(await one({ kind: 'time', beforeMs: 2_500 }), /; 1 that is no longer listed is still held here/);
  t.is(
    await one({ kind: 'time', beforeMs: 1_000 }),
    'source photos has no snapshot from that time or before; see: snapshots photos',
  );
  t.is(await one({ kind: 'time', beforeMs: 8_500 }), 'bbbb');
  const none = await named();
  t.regex(
    await none({ kind: 'latest' }),
    /^source photos has no snapshot that is listed; 3 .* snapshots photos --held$/,
  );
  t.is(await none({ kind: 'id', prefix: '3000' }), '3000', 'an origin in foreign hands may list none at all');
});
