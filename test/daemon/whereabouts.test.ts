import test, { type ExecutionContext } from 'ava';
import { findEntry } from '../../src/catalog/walk.js';
import type { ParcelId } from '../../src/core/ids.js';
import type { PlacementReport, ReplicaReport } from '../../src/daemon/service.js';
import { Whereabouts, type WhereaboutsOptions } from '../../src/daemon/whereabouts.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';

const DRAINING = ['live', 'dead'].map(liveness => ({ host: 'nas', counts: false, liveness }));

interface HostChanges {
  readonly archived?: boolean;
  readonly missing?: string;
  readonly trust?: string;
}

/** Whereabouts of a source with two large files, each alone in its parcel, and what is asked of them. */
async function aHost(t: ExecutionContext, { archived = false, missing, trust = 'trusted' }: HostChanges = {}) {
  const source = new ScratchSource(t);
  source.write({ 'a.raw': Buffer.alloc(9_000_000, 1), 'b.raw': Buffer.alloc(9_000_000, 2) });
  await source.take();
  const parcelOf = async (path: string): Promise<ParcelId> => {
    const found = await findEntry(source.objects, source.last as never, Buffer.from(path));
    if (found === undefined) throw new Error(`no ${path}`);
    return found.parcel;
  };
  const whereabouts = new Whereabouts({
    known: {
      copiesWanted: () => 2,
      copies: () => 1,
      bytesOf: () => 5,
      wantedCopies: () => 2,
      explain: (parcel: string) =>
        parcel === 'gone'
          ? undefined
          : [
              { host: 'mini', why: { has: 'copy' } },
              { host: 'pi', why: { has: 'nothing', because: 'same-domain', with: 'mini' } },
            ],
      wanted: () => [
        { id: 'p', key: 'k', bytes: 5, listed: true, newest: false },
        { id: 'drains', key: 'l', bytes: 5, listed: true, newest: true },
      ],
      holders: (parcel: string) =>
        parcel === 'drains'
          ? DRAINING
          : [
              { host: 'pi', counts: false },
              { host: 'mini', counts: false },
              { host: 'mini', counts: true },
              { host: 'mini', counts: false },
              { host: 'pi', counts: false },
            ],
    },
    catalog: { get: () => ({ head: { snapshots: [{ id: source.last }] } }) },
    objects: source.objects,
    roster: {
      nameOf: (host: string) => host,
      self: 'imac',
      member: (host: string) => ({
        state: host === 'nas' ? 'draining' : 'active',
        trust: host === 'imac' ? trust : 'trusted',
      }),
    },
    origin: { missing: () => missing },
    names: { all: () => [aSource], nameOf: () => 'photos', isArchived: () => archived },
  } as unknown as WhereaboutsOptions);
  const told = async (): Promise<(ReplicaReport | string)[]> => {
    const list: (ReplicaReport | string)[] = [];
    for await (const report of whereabouts.replicas({ only: [] }, new AbortController().signal))
      list.push('lacking' in report ? report.lacking : report);
    return list;
  };
  return { source, parcelOf, told, whereabouts };
}

test('a host that has a file in several stores is one holder, which counts if one of its copies does', async t => {
  const { told } = await aHost(t);
  const [first, ...others] = await told();
  t.is(others.length, 1);
  t.like(first, {
    source: 'photos',
    want: 2,
    have: 1,
    holders: [
      { host: 'mini', counts: true },
      { host: 'pi', counts: false },
    ],
  });
});

test('a placement says of what snapshots its parcel is, and names the stores whose copies count', async t => {
  const { whereabouts } = await aHost(t);
  const placements: PlacementReport[] = [];
  for await (const placement of whereabouts.placements()) placements.push(placement);
  t.is(placements.length, 2);
  t.like(placements[0], { parcel: 'p', bytes: 5, source: 'photos', want: 2, listed: true, atOrigin: false });
  t.true(placements[1]?.atOrigin);
  const hostsOf = (placement: PlacementReport | undefined) => placement?.holders.map(({ host }) => host as string);
  t.deepEqual(hostsOf(placements[0]), ['mini']);
  // Others copy from a host that drains, as long as it is there.
  t.deepEqual(hostsOf(placements[1]), ['nas']);
});

for (const [what, changes] of Object.entries({
  'has left the policy': { archived: true },
  'is missing': { missing: '/photos is missing (ENOENT)' },
}))
  test(`of a source that ${what} no origin counts as a place`, async t => {
    const { whereabouts } = await aHost(t, changes);
    for await (const { atOrigin } of whereabouts.placements()) t.false(atOrigin);
  });

test('a record that nobody gives is told, and what stands behind it is listed', async t => {
  const { source, parcelOf, told } = await aHost(t);
  source.objects.lose(await parcelOf('a.raw'));
  const list = await told();
  t.deepEqual(list.map(one => (typeof one === 'string' ? 'gap' : one.path.toString())).sort(), ['b.raw', 'gap']);
  t.regex(
    list.find(one => typeof one === 'string') as string,
    /^1 parcel \(9 MB\).*, of which the hosts that are up have not even the names$/,
  );
});

test('what nobody wants is not explained, and what is explained has names', async t => {
  const { whereabouts } = await aHost(t);
  t.deepEqual(whereabouts.explain('p' as ParcelId), {
    bytes: 5,
    want: 2,
    have: 1,
    hosts: [
      { host: 'mini', why: 'copy' },
      { host: 'pi', why: 'nothing', because: 'same-domain', with: 'mini' },
    ],
  });
  t.throws(() => whereabouts.explain('gone' as ParcelId), {
    code: 'SNAPSHOT_GONE',
    message: /no host is to have copies of parcel gone/,
  });
});

test('an untrusted host, which is not told of copies, says so, and not that all would be lost', async t => {
  const { whereabouts } = await aHost(t, { trust: 'untrusted' });
  const refused = { code: 'HOST_UNTRUSTED', message: /ask on a trusted one/ };
  t.throws(() => whereabouts.explain('p' as ParcelId), refused);
  await t.throwsAsync(whereabouts.placements().next(), refused);
});
