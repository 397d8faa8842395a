/** Reading a snapshot back through the service: `resolve`, then `entries`, several times. */
import test, { type ExecutionContext } from 'ava';
import type { PlacedEntry } from '../../src/catalog/restore-content.js';
import { findEntry } from '../../src/catalog/walk.js';
import type { ObjectId } from '../../src/core/ids.js';
import { Answers } from '../../src/daemon/answers.js';
import { Protections } from '../../src/daemon/protection.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';

const NEVER = new AbortController().signal;

const textOf = ({ entry, isStandIn }: PlacedEntry): string => `${isStandIn ? 'made up: ' : ''}${entry.path}`;

/** A host with one source, `photos`, whose last snapshot is listed until `unlist`. */
async function aService(t: ExecutionContext, files: Readonly<Record<string, string>>) {
  const source = new ScratchSource(t);
  source.write(files);
  await source.take();
  const snapshot = source.last as ObjectId;
  let listed = [{ id: snapshot, timeMs: anyTimeMs, complete: true, firstSeq: 1 }];
  const known = { copiesWanted: () => 1, copies: () => 1, holders: () => [{ host: 'ben' }] };
  const { objects } = source;
  const answers = new Answers({
    membership: { clusterConfig: { sources: [] } },
    catalog: {
      objects,
      sources: () => [aSource],
      get: () => ({ head: { snapshots: listed } }),
      wantedSnapshots: () => listed.map(({ id }) => id),
    },
    roster: { sourceName: () => 'photos', nameOf: () => 'imac' },
    protections: new Protections({ known, reader: objects, isReachable: () => true } as never),
    known,
    mending: objects,
    objects,
  } as unknown as ConstructorParameters<typeof Answers>[0]);
  const read = async (under = ''): Promise<string[]> => {
    const lines: string[] = [];
    for await (const item of answers.entries({ sourceId: aSource, snapshot, under: Buffer.from(under) }, NEVER))
      lines.push('lacking' in item ? `after ${item.after}: ${item.lacking}` : textOf(item));
    return lines;
  };
  return {
    answers,
    source,
    snapshot,
    read,
    unlist: () => {
      listed = [];
    },
  };
}

test('a restore goes on when its snapshot has left its hold; one that nobody asked for by name is refused', async t => {
  const named = await aService(t, { 'one.txt': 'one' });
  await named.answers.resolve({ spec: 'photos' }, NEVER);
  named.unlist();
  t.deepEqual(await named.read(), ['', 'one.txt']);
  const never = await aService(t, { 'one.txt': 'one' });
  t.deepEqual(await never.read(), ['', 'one.txt']);
  never.unlist();
  await t.throwsAsync(never.read(), { code: 'SNAPSHOT_GONE' });
});

const manyFiles = Object.fromEntries(
  Array.from({ length: 600 }, (_, n) => [`f/${String(n).padStart(3, '0')}`, `${n}`]),
);
const parcelAt = async ({ objects }: ScratchSource, snapshot: ObjectId, path: string): Promise<ObjectId> =>
  (await findEntry(objects, snapshot, Buffer.from(path)))?.parcel as unknown as ObjectId;

test('a record that nobody gives is told of, and all the others come', async t => {
  const { source, snapshot, read } = await aService(t, manyFiles);
  const all = await read();
  t.is(all.length, 602);
  source.objects.lose(await parcelAt(source, snapshot, 'f/300'));
  const rest = await read();
  const told = rest.filter(line => line.startsWith('after'));
  t.is(told.length, 1);
  t.regex(
    told[0] ?? '',
    /^after f\/\d+: 1 parcel \(.*\) before f\/\d+, of which the hosts that are up have not even the names$/,
  );
  t.false(rest.includes('f/300'));
  t.true(rest.includes('f/000') && rest.includes('f/599'));
  t.true(all.filter(path => !rest.includes(path)).length < 512);
});

test('what nobody gives at first is asked for once more', async t => {
  const { source, snapshot, read } = await aService(t, manyFiles);
  const lost = await parcelAt(source, snapshot, 'f/300');
  const get = source.objects.get.bind(source.objects);
  let asked = 0;
  source.objects.get = async id => {
    if (id !== lost) return get(id);
    asked += 1;
    return asked === 1 ? undefined : get(id);
  };
  t.is((await read()).filter(line => line.startsWith('after')).length, 0);
  t.is(asked, 2);
});

test('a path that stands in what cannot be read is not refused, and what can be had of it comes', async t => {
  const { answers, source, snapshot, read } = await aService(t, manyFiles);
  source.objects.lose(await parcelAt(source, snapshot, 'f'));
  const { under } = await answers.resolve({ spec: 'photos:f' }, NEVER);
  t.is(under.toString(), 'f');
  const lines = await read('f');
  t.true(lines.includes('made up: f') && lines.includes('f/599'));
  t.is(lines.filter(line => line.startsWith('after')).length, 1);
  await t.throwsAsync(answers.resolve({ spec: 'photos:g\\x1b/h' }, NEVER), {
    code: 'PATH_UNKNOWN',
    message: /photos has no such path: g\\x1b\/h$/,
  });
});
