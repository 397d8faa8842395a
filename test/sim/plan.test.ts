import test from 'ava';
import { nameOf } from '../../sim/catalog-model.js';
import { makeCluster } from '../../sim/plan/made-cluster.js';
import { draw } from '../../sim/plan/picture.js';
import { type PlanInput, type PlanParcel, type PlanReport, runPlan } from '../../sim/plan/plan.js';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import {
  type HostId,
  parseHostId,
  parseKey,
  parseParcelId,
  parseStoreId,
  type StoreId,
  sourceIdOf,
} from '../../src/core/ids.js';

const MB = 1_000_000;
const HOUR_MS = 3_600_000;
const NO_CHANGES = { addHosts: [], remove: [], copies: undefined };

const input = (changes: Partial<PlanInput> = {}): PlanInput => ({
  seed: 7,
  hosts: Array.from({ length: 4 }, (_, i) => ({ name: `host-${i + 1}`, freeBytes: 1_000 * MB, bytesPerS: 100 * MB })),
  fresh: { copies: 2, parcels: [[20 * MB, 30 * MB], [10 * MB], [5 * MB], []] },
  changes: NO_CHANGES,
  lose: 2,
  bytesPerS: 100 * MB,
  ...changes,
});

const usedBytes = ({ hosts }: PlanReport): number => hosts.reduce((sum, host) => sum + host.usedBytes, 0);

test('a first backup ends with every copy made, and says what that took', async t => {
  const report = await runPlan(input());
  const [phase] = report.phases;
  t.is(report.bytes, 65 * MB);
  t.is(usedBytes(report), 130 * MB);
  t.is(phase?.short.parcels, 0);
  t.true((phase?.movedBytes ?? 0) >= 130 * MB);
  t.true((phase?.endMs ?? 0) - (phase?.startMs ?? 0) >= (phase?.boundMs ?? 0));
  t.deepEqual([phase?.worst.copies, phase?.worst.parcels], [0, 4]);
});

test('what is on its way is waited for, however long nothing else is seen', async t => {
  const slow = input().hosts.map(host => ({ ...host, bytesPerS: MB }));
  const hosts = slow.map(host => ({ ...host, freeBytes: 100_000 * MB }));
  const [phase] = (await runPlan(input({ hosts, fresh: { copies: 2, parcels: [[20_000 * MB], [], [], []] } }))).phases;
  t.is(phase?.short.parcels, 0);
  t.is(phase?.movedBytes, 40_000 * MB);
  // Two hosts share the origin's link for 11 hours.
  t.true((phase?.endMs ?? 0) >= 40_000_000);
});

test('the same seed gives the same report, and another one another', async t => {
  t.deepEqual(await runPlan(input()), await runPlan(input()));
  t.notDeepEqual((await runPlan(input())).frames, (await runPlan(input({ seed: 8 }))).frames);
});

test('a host that is gone is made up for, from one copy less', async t => {
  const report = await runPlan(input({ changes: { ...NO_CHANGES, remove: ['host-1'] } }));
  const [, phase] = report.phases;
  t.is(phase?.worst.copies, 1);
  t.is(phase?.short.parcels, 0);
  t.is(usedBytes(report), 130 * MB);
  t.true(report.hosts[0]?.gone);
});

test('more copies are made where there are hosts for them', async t => {
  const report = await runPlan(input({ changes: { ...NO_CHANGES, copies: 3 } }));
  t.is(report.phases.at(-1)?.short.parcels, 0);
  t.is(usedBytes(report), 195 * MB);
});

test('what does not fit is named', async t => {
  const hosts = input().hosts.map(host => ({ ...host, freeBytes: 25 * MB }));
  const [phase] = (await runPlan(input({ hosts }))).phases;
  t.is(phase?.boundMs, Number.POSITIVE_INFINITY);
  t.true((phase?.short.parcels ?? 0) > 0);
  t.true((phase?.short.makeableBytes ?? 0) >= 30 * MB);
  t.is(phase?.short.placeless, undefined);
});

test('copies that there are no hosts for are told as that, and not as lack of room', async t => {
  const [phase] = (await runPlan(input({ fresh: { copies: 5, parcels: [[20 * MB], [], [], []] } }))).phases;
  t.deepEqual(phase?.short, {
    parcels: 1,
    bytes: 40 * MB,
    makeableBytes: 0,
    placeless: { parcels: 1, wanted: 5, domains: 3 },
    gone: 0,
  });
  // Three hosts take one copy each.
  t.is(phase?.boundMs, 200);
});

test('hosts of one domain are one place', async t => {
  const hosts = input().hosts.map((host, i) => ({ ...host, domain: `${i < 2 ? 'a' : 'b'}`.repeat(32) }));
  const [phase] = (await runPlan(input({ hosts, fresh: { copies: 3, parcels: [[20 * MB], [], [], []] } }))).phases;
  t.deepEqual(phase?.short.placeless, { parcels: 1, wanted: 3, domains: 2 });
  t.is(phase?.short.makeableBytes, 0);
});

test('what goes with its origin before it has a copy is told as gone', async t => {
  const hosts = input().hosts.map(host => ({ ...host, freeBytes: 25 * MB }));
  const fresh = { copies: 2, parcels: [[], [26 * MB], [], []] };
  const report = await runPlan(input({ hosts, fresh, changes: { ...NO_CHANGES, remove: ['host-2'] } }));
  t.like(report.phases.at(-1)?.short, { parcels: 1, makeableBytes: 0, gone: 1 });
});

test('what has no copy in the end is lost with its origin', async t => {
  const hosts = input().hosts.map(host => ({ ...host, freeBytes: 25 * MB }));
  const { loss } = await runPlan(input({ hosts, fresh: { copies: 2, parcels: [[], [26 * MB], [], []] }, lose: 1 }));
  t.is(loss.bare, 1);
  t.deepEqual(loss.lost, { hosts: [1], parcels: 1, bytes: 26 * MB });
});

/** Three real hosts; the first is the origin of ten parcels that the others hold. */
function present(): Required<Pick<PlanInput, 'hosts' | 'present'>> {
  const ids = [1, 2, 3].map(i => parseHostId(`${i}`.repeat(32)));
  const stores = [1, 2, 3].map(i => parseStoreId(`${i + 3}`.repeat(32)));
  const hosts = ids.map((id, i) => ({
    id,
    name: `host-${i + 1}`,
    lends: [{ id: stores[i] as StoreId, lentBytes: 1_000 * MB }],
    bytesPerS: 100 * MB,
  }));
  const parcels = Array.from({ length: 10 }, (_, i) => ({
    ref: { id: parseParcelId(nameOf(`p${i}`)), key: parseKey(nameOf(`k${i}`).slice(0, 32)), bytes: 10 * MB },
    source: sourceIdOf(ids[0] as HostId, 'files'),
    isNewest: true,
    copiesWanted: 2,
    holders: [1, 2].map(at => ({ host: ids[at] as HostId, store: stores[at] as StoreId })),
  }));
  return { hosts, present: parcels };
}

test('a cluster that is there already stays as it is', async t => {
  const { fresh: _, ...made } = input();
  const report = await runPlan({ ...made, ...present() });
  t.is(report.phases.length, 1);
  t.is(report.phases[0]?.movedBytes, 0);
  t.deepEqual(
    report.hosts.map(({ copies }) => copies),
    [0, 10, 10],
  );
  t.deepEqual(report.phases[0]?.worst, { copies: 2, parcels: 10, atMs: 0 });
  t.is(report.loss.uncopied.parcels, 10);
  t.is(report.loss.lost.parcels, 0);
});

test('what a cluster that is there lacks is made, and measured from the start', async t => {
  const { fresh: _, ...made } = input();
  const { hosts, present: parcels } = present();
  const one = parcels.map(parcel => ({
    ...parcel,
    ref: { ...parcel.ref, bytes: 90 * MB },
    holders: parcel.holders.slice(0, 1),
  }));
  const { phases, frames } = await runPlan({ ...made, hosts, present: one });
  t.is(phases[0]?.startMs, 0);
  t.is(phases[0]?.movedBytes, 900 * MB);
  // Only the third host can take them.
  t.is(phases[0]?.boundMs, 9_000);
  t.true((phases[0]?.endMs ?? 0) >= 9_000);
  t.like(phases[0]?.worst, { copies: 1, parcels: 10 });
  t.is(frames[0]?.atMs, 0);
  t.is(frames[0]?.withCopies[1], 10);
});

for (const [what, member] of [
  ['drains', { state: 'draining' }],
  ['is not trusted', { trust: 'untrusted' }],
] as const) {
  test(`what a host that ${what} has is copied elsewhere`, async t => {
    const { fresh: _, ...made } = input();
    const { hosts, present: parcels } = present();
    const more = { name: 'host-4', freeBytes: 1_000 * MB, bytesPerS: 100 * MB };
    const report = await runPlan({
      ...made,
      hosts: [...hosts.map((host, i) => (i === 2 ? { ...host, ...member } : host)), more],
      present: parcels,
    });
    t.is(report.phases[0]?.worst.copies, 1);
    t.is(report.phases[0]?.short.parcels, 0);
    t.is(report.hosts[3]?.copies, 10);
  });
}

test('… and when a host of it is gone for good, one that is added takes its place', async t => {
  const { fresh: _, ...made } = input();
  const changes = { addHosts: [1_000 * MB], remove: ['host-2'], copies: undefined };
  const report = await runPlan({ ...made, ...present(), changes });
  t.deepEqual(
    report.hosts.map(({ name, copies }) => [name, copies]),
    [
      ['host-1', 0],
      ['host-2', 0],
      ['host-3', 10],
      ['new-1', 10],
    ],
  );
});

test('hosts that are added have met the others before something else is changed', async t => {
  const { fresh: _, ...made } = input();
  const changes = { addHosts: [1_000 * MB, 1_000 * MB], remove: ['host-2'], copies: 3 };
  const { phases } = await runPlan({ ...made, ...present(), changes });
  t.deepEqual(
    phases.map(({ what }) => what),
    ['as it is', '+ new-1, + new-2', '− host-2, 3 copies'],
  );
  const [, added, changed] = phases;
  t.like(added, { movedBytes: 0, worst: { copies: 2, parcels: 10 } });
  t.true((changed?.startMs ?? 0) - (added?.startMs ?? 0) >= 2 * 60_000);
  t.like(changed, { movedBytes: 200 * MB, short: { parcels: 0 } });
});

test('a cluster may have more parcels than a call takes arguments', async t => {
  const { fresh: _, ...made } = input();
  const [first] = present().present as [PlanParcel];
  const many = Array.from({ length: 150_000 }, (_, i) => {
    const hex = i.toString(16);
    const ref = { id: parseParcelId(hex.padStart(64, '0')), key: parseKey(hex.padStart(32, '0')), bytes: MB };
    return { ...first, ref, holders: [] };
  });
  // With nobody there it ends where it would begin.
  await t.throwsAsync(async () => runPlan({ ...made, hosts: [], present: many }), { message: /begins with a member/ });
});

test('what its policy makes a cluster wait for, a plan waits for', async t => {
  const { fresh: _, ...made } = input();
  const { hosts, present: parcels } = present();
  const [store, id] = [parseStoreId('7'.repeat(32)), parseHostId('8'.repeat(32))];
  const fourth = { id, name: 'host-4', lends: [{ id: store, lentBytes: 1_000 * MB }], bytesPerS: 100 * MB };
  const over = parcels.map(parcel => ({ ...parcel, holders: [...parcel.holders, { host: id, store }] }));
  const timing = { ...DEFAULT_TIMING, surplusMs: 5 * HOUR_MS };
  const [phase] = (await runPlan({ ...made, hosts: [...hosts, fourth], present: over, timing })).phases;
  t.is(phase?.overParcels, 0);
  t.true((phase?.endMs ?? 0) >= 5 * HOUR_MS);
});

test('what lies in a store besides is room that is not there', async t => {
  const { fresh: _, ...made } = input();
  const { hosts, present: parcels } = present();
  const one = parcels.map(parcel => ({ ...parcel, holders: parcel.holders.slice(0, 1) }));
  const [, , third] = hosts;
  const store = third?.lends?.[0]?.id as StoreId;
  const report = await runPlan({ ...made, hosts, present: one, usedBytes: new Map([[store, 950 * MB]]) });
  t.like(report.hosts[2], { copies: 5, usedBytes: 1_000 * MB });
  t.is(report.phases[0]?.short.makeableBytes, 50 * MB);
});

test('of what only older snapshots have the copies are all that there is', async t => {
  const { fresh: _, ...made } = input();
  const { hosts, present: parcels } = present();
  const history = parcels.map((parcel, i) => ({ ...parcel, isNewest: i >= 4 }));
  const { loss, phases } = await runPlan({ ...made, hosts, present: history });
  t.is(phases[0]?.movedBytes, 0);
  t.is(phases[0]?.overParcels, 0);
  t.deepEqual(loss.uncopied, { hosts: [1, 2], parcels: 10, bytes: 100 * MB });
  t.deepEqual(loss.lost, { hosts: [1, 2], parcels: 4, bytes: 40 * MB });
});

test('… and without one they are gone, whether their origin is up and their source has anything or not', async t => {
  const { fresh: _, ...made } = input();
  const { hosts, present: parcels } = present();
  const bare = parcels.slice(0, 3).map(parcel => ({ ...parcel, isNewest: false, holders: [] }));
  for (const others of [parcels.slice(3), []]) {
    const { loss, phases } = await runPlan({ ...made, hosts, present: [...bare, ...others] });
    t.is(phases[0]?.short.gone, 3);
    t.is(phases[0]?.short.makeableBytes, 0);
    t.is(loss.bare, 0);
  }
});

test('what an older snapshot has is copied again from who holds it', async t => {
  const { fresh: _, ...made } = input();
  const { hosts, present: parcels } = present();
  const history = parcels.map(parcel => ({ ...parcel, isNewest: false }));
  const changes = { addHosts: [1_000 * MB], remove: ['host-2'], copies: undefined };
  const { phases } = await runPlan({ ...made, hosts, present: history, changes });
  t.like(phases.at(-1), { movedBytes: 100 * MB, short: { parcels: 0 } });
});

test('made-up clusters have the files that were asked for, and room for twice their copies', t => {
  const made = makeCluster({ seed: 1, hosts: 5, files: 1_000, copies: 2, disks: undefined });
  t.is(made.disks.length, 5);
  t.true(made.parcels.flat().length < 1_000);
  t.true(made.disks.reduce((sum, disk) => sum + disk, 0) >= 4 * made.bytes);
  const given = makeCluster({ seed: 1, hosts: 3, files: 10, copies: 2, disks: [1, 2] });
  t.deepEqual(given.disks, [1, 2, 1]);
});

test('the picture is one that a viewer reads, whatever hosts are called', async t => {
  const report = await runPlan(input());
  const svg = draw({
    title: '<4 hosts> & "more"',
    subtitle: '',
    copiesWanted: 2,
    hosts: report.hosts.map(({ name }) => ({ name: `${name}<&>`, lent: '1 GB' })),
    marks: [{ atMs: 0, text: 'first backup' }],
    frames: report.frames,
  });
  t.true(svg.startsWith('<svg '));
  t.false(/NaN|Infinity|undefined/.test(svg));
  t.is(svg.split('<text').length, svg.split('</text>').length);
  t.false(svg.includes('<4'));
});
