import test from 'ava';
import { encodePage } from '../../src/catalog/page.js';
import { encodeRecord } from '../../src/catalog/record.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import { hashHex } from '../../src/core/hash.js';
import { type HostId, type ObjectId, type ParcelId, parseHostId, parseKey, sourceIdOf } from '../../src/core/ids.js';
import { objectsOf } from '../../src/daemon/own-objects.js';
import { entryOf } from '../catalog/restore-fixture.js';
import { newKey } from '../membership/cast.js';

const [pupil, other] = [parseHostId('0a'.repeat(16)), parseHostId('0b'.repeat(16))];
const key = parseKey('ab'.repeat(16));
const signer = newKey();

test('a host that is not trusted reads the snapshots, pages and records of its own sources, and of nobody else’s', async t => {
  const kept = new Map<ObjectId, Uint8Array>();
  const keep = (bytes: Uint8Array): ObjectId => {
    const id = hashHex(bytes) as ObjectId;
    kept.set(id, bytes);
    return id;
  };
  const origins = new Map<ParcelId, HostId>();
  const historyOf = (host: HostId) => {
    const source = sourceIdOf(host, 'work');
    const record = keep(encodeRecord({ source, key, entries: [entryOf('', { kind: 'directory' })] }));
    origins.set(record as unknown as ParcelId, host);
    const ref = { id: record as unknown as ParcelId, key, bytes: 0 };
    const page = keep(encodePage([ref]));
    const counts = { stale: 0, missed: 0, files: 1, bytes: 1, device: 1n, recutOf: undefined, holdDays: 1 };
    const snapshot = keep(encodeSnapshot({ source, ...counts, pages: [page], timeMs: 1 }, signer));
    return { record, page, snapshot, ref };
  };
  const [own, theirs] = [historyOf(pupil), historyOf(other)];
  const mixed = keep(encodePage([own.ref, theirs.ref]));
  const unknown = keep(encodePage([{ ...own.ref, id: 'cd'.repeat(32) as ParcelId }]));
  const noObject = keep(Buffer.from('none'));
  const reader = objectsOf(pupil, { get: async id => kept.get(id) }, { originOf: parcel => origins.get(parcel) });
  const isGiven = async (id: ObjectId) => (await reader.get(id)) !== undefined;
  for (const id of [own.record, own.page, own.snapshot]) t.deepEqual(await reader.get(id), kept.get(id));
  for (const id of [theirs.record, theirs.page, theirs.snapshot, mixed, unknown, noObject]) t.false(await isGiven(id));
  t.false(await isGiven('ef'.repeat(32) as ObjectId));
});
