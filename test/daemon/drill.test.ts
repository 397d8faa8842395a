import test from 'ava';
import { readSnapshot } from '../../src/catalog/read-object.js';
import type { ContentFrame } from '../../src/catalog/restore-content.js';
import { findEntry } from '../../src/catalog/walk.js';
import {
  type BlobId,
  type HostId,
  type ObjectId,
  type SourceId,
  sourceIdOf,
  splitSourceId,
} from '../../src/core/ids.js';
import { Answers } from '../../src/daemon/answers.js';
import { type Drilled, type DrillLimits, type DrillOptions, drill } from '../../src/daemon/drill.js';
import type { DrillReport } from '../../src/daemon/service.js';
import { aFile, snapshotOf } from '../catalog/made-snapshots.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';

const NEVER = new AbortController().signal;

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

let turn = 0;

/** A drill of the source's last snapshot, of which every blob comes; each pick is the next in turn. */
function drilled(
  source: ScratchSource,
  files: number,
  record: DrillOptions['record'] = parcel => source.objects.get(parcel),
  frame: ContentFrame = { kind: 'end' },
  limits: Partial<DrillLimits> = {},
): Promise<Drilled[]> {
  const options = {
    objects: source.objects,
    record,
    async *copies() {
      yield frame;
    },
    holders: () => ['ben'],
    below: (count: number) => turn++ % count,
  };
  return all(drill(options, source.last as never, { files, bytes: Infinity, ...limits }, NEVER));
}

test('a record that nobody gives is a failure of its parcel, told once', async t => {
  const source = new ScratchSource(t);
  source.write({ 'one.txt': 'one', 'folder/empty.txt': '' });
  await source.take();
  t.deepEqual(
    (await drilled(source, 2)).map(({ path, failure }) => [path?.toString(), failure]),
    [['one.txt', undefined]],
  );
  const found = await findEntry(source.objects, source.last as never, Buffer.from('one.txt'));
  source.objects.lose(found?.parcel as never);
  const failed = await drilled(source, 2);
  t.is(failed.length, 1);
  t.like(failed[0], { parcel: found?.parcel, path: undefined, bytes: 3, failure: { hosts: ['ben'] } });
  t.regex(failed[0]?.failure?.because ?? '', /record/);
});

test('of a file that does not come all holders are named, not those alone that are to be switched on', async t => {
  const source = new ScratchSource(t);
  source.write({ 'one.txt': 'one' });
  await source.take();
  const blob = '00'.repeat(32) as BlobId;
  const frame = { kind: 'unavailable', blob, because: 'nobody can give it', hosts: [] } as const;
  const [failed] = await drilled(source, 1, undefined, frame);
  t.deepEqual(failed?.failure, { because: 'nobody can give it', hosts: ['ben'] });
});

test('a record that is in this host’s catalog and with no copy is a failure', async t => {
  const source = new ScratchSource(t);
  source.write({ 'one.txt': 'one' });
  await source.take();
  const failed = await drilled(source, 1, async () => undefined);
  t.regex(failed[0]?.failure?.because ?? '', /no host gives the record/);
  t.is(failed.length, 1);
});

test('a large file is found however rare, and none that is too large costs a record', async t => {
  const source = new ScratchSource(t);
  const MiB = 1024 * 1024;
  const small = Array.from({ length: 3_000 }, (_, n) => aFile(`small${n}`, { size: MiB }));
  const large = ['large', 'too large'].map((path, n) => aFile(path, { size: 100 * MiB + n }));
  source.last = await snapshotOf(source.objects, [...small, ...large]);
  t.true((await readSnapshot(source.objects, source.last)).pages.length > 2);
  const records: string[] = [];
  const record: DrillOptions['record'] = parcel => {
    records.push(parcel);
    return source.objects.get(parcel);
  };
  const paths = async (limits: Partial<DrillLimits>) =>
    (await drilled(source, 1, record, { kind: 'end' }, limits)).map(({ path }) => path?.toString());
  const moreThanBytes = 64 * MiB;
  for (let times = 0; times < 5; times += 1) t.deepEqual(await paths({ moreThanBytes, bytes: 100 * MiB }), ['large']);
  t.is(records.length, 5);
  t.deepEqual(await paths({ moreThanBytes, bytes: 100 * MiB - 1 }), []);
  t.is(records.length, 5);
});

test('a parcel without bytes is not tried: there is nothing to be had of it', async t => {
  const source = new ScratchSource(t);
  source.write({ 'empty.txt': '' });
  await source.take();
  const found = await findEntry(source.objects, source.last as never, Buffer.from('empty.txt'));
  source.objects.lose(found?.parcel as never);
  t.deepEqual(await drilled(source, 2), []);
});

test('where there are bytes and nothing could be tried, that is a failure; an empty source has none', async t => {
  const source = new ScratchSource(t);
  const asked = async (): Promise<DrillReport[]> => {
    const snapshots = [{ id: source.last, timeMs: 0, complete: true, firstSeq: 1 }];
    const answers = new Answers({
      membership: { clusterConfig: { sources: [] } },
      catalog: { sources: () => [aSource], get: () => ({ head: { snapshots } }) },
      roster: { sourceName: () => 'photos', nameOf: () => 'imac', member: () => undefined },
      protections: { newestProtected: async () => source.last },
      objects: source.objects,
      drill: async function* () {},
    } as unknown as ConstructorParameters<typeof Answers>[0]);
    return all(answers.drill({ source: 'photos', files: 3 }, NEVER));
  };
  source.write({ 'empty.txt': '' });
  await source.take();
  t.deepEqual(await asked(), []);
  source.write({ 'one.txt': 'one' });
  await source.take();
  t.like(await asked(), [{ source: 'photos', snapshot: source.last, bytes: 3 }]);
  t.truthy((await asked())[0]?.failure);
});

test('a configured source without a snapshot, or without one that can be read, is a failure, one that left without any is none; the others are tried', async t => {
  const source = new ScratchSource(t);
  source.write({ 'one.txt': 'one' });
  await source.take();
  const lost = 'ee'.repeat(32) as ObjectId;
  const [archived, mistaken, never, unreadable, whole] = ['archived', 'mistaken', 'never', 'unreadable', 'whole'].map(
    name => sourceIdOf('ab'.repeat(16) as HostId, name),
  ) as [SourceId, SourceId, SourceId, SourceId, SourceId];
  const snapshots = new Map([
    [unreadable, lost],
    [whole, source.last as ObjectId],
  ]);
  const options = (configured: readonly SourceId[]) => ({
    membership: {
      clusterConfig: { sources: configured.map(one => ({ source: one })) },
      configuration: { archived: [{ source: mistaken, copies: 2 }] },
    },
    catalog: {
      sources: () => [archived, ...snapshots.keys()],
      get: (id: SourceId) =>
        snapshots.has(id) ? { head: { snapshots: [{ id: snapshots.get(id), firstSeq: 1 }] } } : undefined,
    },
    roster: {
      sourceName: (id: SourceId) => splitSourceId(id).source,
      nameOf: () => 'imac',
      member: () => undefined,
    },
    protections: { newestProtected: async () => undefined },
    objects: source.objects,
    drill: async function* (snapshot: ObjectId) {
      await readSnapshot(source.objects, snapshot);
      yield { parcel: 'p', path: Buffer.from('one.txt'), bytes: 3 };
    },
  });
  const answers = new Answers(options([never, mistaken, whole]) as unknown as ConstructorParameters<typeof Answers>[0]);
  t.deepEqual(await all(answers.drill({ source: 'never', files: 3 }, NEVER)), [
    { source: 'never', bytes: 0, failure: { because: 'no snapshot of it is known here', hosts: [] } },
  ]);
  const reports = await all(answers.drill({ files: 3 }, NEVER));
  t.deepEqual(
    reports.map(report => [report.source, report.snapshot, report.bytes, report.failure?.because]),
    [
      ['never', undefined, 0, 'no snapshot of it is known here'],
      ['unreadable', lost, 0, `the snapshot ${lost} is not here; a holder of the snapshot or its origin has it`],
      ['whole', source.last, 3, undefined],
    ],
  );
});
