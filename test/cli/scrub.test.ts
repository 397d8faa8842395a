import test, { type ExecutionContext } from 'ava';
import type { ScrubReport } from '../../src/daemon/service.js';
import { cluster, serve } from './cli-fixture.js';

const RIGHT: ScrubReport = {
  stores: 1,
  parcels: 2,
  bytes: 3,
  ofParcels: 2,
  ofBytes: 3,
  corrupt: 0,
  unread: 0,
  catalog: 0,
  unreadCatalogs: 0,
  absentStores: [],
};

async function scrubbed(t: ExecutionContext, report: ScrubReport, ...options: readonly string[]) {
  const stateDir = await serve(t, {
    async *scrub() {
      yield report;
    },
  });
  return cluster(['--state', stateDir, ...options, 'scrub']);
}

test('a scrub that finds nothing wrong says so', async t => {
  const { code, out, err } = await scrubbed(t, RIGHT);
  t.is(code, 0, err);
  t.is(out, '2 parcels, 3 B, in 1 store: all as they should be\n');
});

test('a store that is configured but not mounted is named, and the scrub does not call anything as it should be', async t => {
  const absentStores = [{ path: '/srv/hoard', because: 'it has no marker' }];
  const { code, out, err } = await scrubbed(t, { ...RIGHT, absentStores });
  t.is(code, 1);
  t.is(out, '2 parcels, 3 B, in 1 store were checked\n');
  t.regex(
    err,
    /the store \/srv\/hoard is not mounted: it has no marker\. It was not checked; run 'cluster scrub' again/,
  );
  const json = await scrubbed(t, { ...RIGHT, absentStores }, '--json');
  t.is(json.code, 1);
  const record = JSON.parse(json.out);
  t.like(record, { message_type: 'scrub', parcels: 2, unread_catalogs: 0, absent_stores: absentStores });
  t.deepEqual(
    Object.keys(record).filter(field => !/^[a-z_]+$/.test(field)),
    [],
    'every field has one name',
  );
});
