import test from 'ava';
import type { HostId, StoreId } from '../../src/core/ids.js';
import type { PlacementReport } from '../../src/daemon/service.js';
import { cluster, each, HOST, hostOf, placementOf, recordsOf, serve } from './cli-fixture.js';

const idOf = (n: number): HostId => `${n}${n}`.repeat(16) as HostId;
const named = (name: string, n: number, changes = {}) =>
  hostOf({ name, id: idOf(n), domain: idOf(n), self: n === 1, ...changes });

/** imac, the origin of photos, and three that hold copies. */
const HOSTS = [named('imac', 1), named('mini', 2), named('nas', 3), named('pi', 4)];

let parcels = 0;
function placement(holders: readonly number[], changes: Partial<PlacementReport> = {}): PlacementReport {
  parcels += 1;
  const stores = holders.map(n => ({ host: idOf(n), store: `${n}`.repeat(32) as StoreId }));
  return placementOf(parcels, { holders: stores, ...changes });
}

const serving = (t: Parameters<typeof serve>[0], placements: readonly PlacementReport[], hosts = HOSTS) =>
  serve(t, { hosts: async () => hosts, placements: () => each(...placements) });

test('survive says how many hosts can be lost, and what the loss of one more would take, from which source', async t => {
  t.is(HOST, idOf(1));
  const state = await serving(t, [
    placement([2, 3]),
    placement([2, 3]),
    // Only older snapshots have these: their origin may have them no more.
    placement([2, 4], { atOrigin: false }),
    placement([3, 4], { atOrigin: false, source: 'docs' }),
    placement([2, 4], { atOrigin: false, source: 'docs' }),
  ]);
  const { code, out } = await cluster(['--state', state, 'survive']);
  t.is(code, 0);
  t.regex(out, /^if this went\twithout a copy\tgone for good\nimac\t-\t-\nmini\t-\t-\n/);
  t.regex(out, /\nany one host can be lost: nothing would be gone for good\n/);
  t.regex(out, /\n {2}2 parcels \(2 MB\) would be lost for good, by the loss of\n {4}mini, pi\n/);
  t.regex(out, /\n {4}photos: 1 parcel \(1 MB\)\n {4}docs: 1 parcel \(1 MB\)\n$/);
});

test('survive exits 20 when so many hosts take something for good', async t => {
  const state = await serving(t, [placement([2, 3]), placement([4], { atOrigin: false })]);
  const one = await cluster(['--state', state, 'survive']);
  t.is(one.code, 20);
  t.notRegex(one.out, /can be lost/);
  t.regex(one.out, /\npi\t1 parcel \(1 MB\)\t1 parcel \(1 MB\)\n/);
  const whole = await serving(t, [placement([2, 3])]);
  t.is((await cluster(['--state', whole, 'survive', '--lose', '2'])).code, 0);
  const three = await cluster(['--state', whole, 'survive', '--lose', '3']);
  t.is(three.code, 20);
  t.regex(three.out, /by the loss of\n {4}imac, mini, nas\n/);
});

test('survive tells of a domain whose hosts go together', async t => {
  const cellar = [named('mini', 2, { domain: 'cellar' }), named('nas', 3, { domain: 'cellar' })];
  const state = await serving(t, [placement([2, 3])], [named('imac', 1), ...cellar]);
  const { out } = await cluster(['--state', state, 'survive', '--json']);
  const records = recordsOf(out);
  t.like(
    records.find(({ name }) => name === 'all of cellar'),
    { message_type: 'host_loss', hosts: ['mini', 'nas'], parcels: 1, lost_parcels: 0 },
  );
  t.like(records.at(-1), {
    message_type: 'survive',
    lose: 3,
    lost_hosts: ['imac', 'mini', 'nas'],
    exact: true,
    gone: 0,
  });
});

test('what is lost already is told: a dead host is no place, nor is its source', async t => {
  const hosts = [named('imac', 1, { state: 'dead' }), named('mini', 2), named('nas', 3)];
  const state = await serving(t, [placement([]), placement([2])], hosts);
  const { code, out } = await cluster(['--state', state, 'survive']);
  t.is(code, 20);
  t.notRegex(out, /imac/);
  t.regex(out, /\n1 parcel lost already: no host has a copy, and no origin\n/);
  t.regex(out, /\nmini\t1 parcel \(1 MB\)\t1 parcel \(1 MB\)\n/);
});

test('where something is lost already, no loss is called harmless', async t => {
  const hosts = [named('imac', 1, { state: 'dead' }), named('mini', 2), named('nas', 3)];
  const some = await cluster(['--state', await serving(t, [placement([]), placement([2, 3])], hosts), 'survive']);
  t.is(some.code, 20);
  t.regex(some.out, /\nany one host can be lost: nothing more would be gone for good\n/);
  const all = await cluster(['--state', await serving(t, [placement([])], hosts), 'survive']);
  t.is(all.code, 20);
  t.true(all.out.endsWith('\n1 parcel lost already: no host has a copy, and no origin\n'), all.out);
});

test('survive refuses to lose more hosts than there are', async t => {
  const { code, err } = await cluster(['--state', await serving(t, []), 'survive', '--lose', '5']);
  t.is(code, 2);
  t.regex(err, /--lose 5: there are 4 hosts that are not lost yet/);
});

test('where nothing was backed up yet, nothing can be lost', async t => {
  const { code, out } = await cluster(['--state', await serving(t, []), 'survive']);
  t.is(code, 0);
  t.regex(out, /\nno snapshot lists anything yet\n$/);
});
