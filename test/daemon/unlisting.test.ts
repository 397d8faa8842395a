import test, { type ExecutionContext } from 'ava';
import { readSnapshot } from '../../src/catalog/read-object.js';
import type { ObjectId, SourceId } from '../../src/core/ids.js';
import { MendingObjects } from '../../src/daemon/object-finder.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';
import { until } from '../helpers/until.js';
import { anOrigin } from './an-origin.js';

/** Three snapshots, of which the rules keep all but the first; what `peer` has is had from there. */
async function threeSnapshots(t: ExecutionContext) {
  const source = new ScratchSource(t);
  const peer = new Map<ObjectId, Uint8Array>();
  const objects = new MendingObjects({ own: source.objects, finder: { get: async id => peer.get(id) } });
  const made = await anOrigin(t, source, {
    objects,
    retainer: {
      judge: async (id: SourceId) => {
        const { head } = made.catalog.get(id) ?? { head: { snapshots: [] } };
        return {
          stopped: undefined,
          snapshots: head.snapshots.map((listed, n) => ({ listed, reasons: n === 0 ? [] : ['last'] })),
        };
      },
    } as never,
  });
  const ids: ObjectId[] = [];
  for (const [n, text] of ['one', 'two', 'three'].entries()) {
    source.write({ 'file.txt': text });
    await source.take({ nowMs: anyTimeMs + n });
    await made.list();
    ids.push(source.last as ObjectId);
  }
  const times = () => made.catalog.get(aSource)?.head.snapshots.map(({ timeMs }) => timeMs - anyTimeMs);
  /** One that stays. */
  const [page] = (await readSnapshot(source.objects, ids[1] as ObjectId)).pages as [ObjectId];
  const bytes = (await source.objects.get(page)) as Uint8Array;
  source.objects.lose(page);
  const forget = () => made.origin.forget(aSource, undefined, new AbortController().signal);
  return { ...made, source, peer, page, bytes, ids, times, forget };
}

test('a page that is lost here comes from a peer, is kept, and what the rules do not keep is unlisted', async t => {
  const { source, peer, page, bytes, times, forget } = await threeSnapshots(t);
  peer.set(page, bytes);
  await forget();
  t.deepEqual(times(), [1, 2]);
  t.true(await source.objects.has(page));
});

test('while nobody gives the page no head is signed that leaves something out', async t => {
  const { peer, page, bytes, times, forget, history } = await threeSnapshots(t);
  const before = history.head(aSource)?.head.seq;
  await t.throwsAsync(forget(), { code: 'OBJECT_MISSING' });
  t.deepEqual(times(), [0, 1, 2]);
  t.is(history.head(aSource)?.head.seq, before);
  peer.set(page, bytes);
  await forget();
  t.deepEqual(times(), [1, 2]);
});

test('a lost page keeps up neither the leaving of its own snapshot nor, in its hold, that of others', async t => {
  const { source, page, bytes, ids, times, forget } = await threeSnapshots(t);
  await source.objects.put(bytes);
  const [lost] = (await readSnapshot(source.objects, ids[0] as ObjectId)).pages as [ObjectId];
  t.not(lost, page);
  source.objects.lose(lost);
  await forget();
  t.deepEqual(times(), [1, 2]);
  await forget();
  t.deepEqual(times(), [2]);
});

test('that nothing can be unlisted after a snapshot is an alarm until it can', async t => {
  const { peer, page, bytes, origin, alarms } = await threeSnapshots(t);
  await origin.backup(aSource, { acceptChanges: false });
  await until('the alarm', () => alarms.list().length > 0);
  const [alarm] = alarms.list();
  t.is(alarm?.code, 'RETENTION_FAILED');
  t.regex(alarm?.text ?? '', /^source photos: no snapshot was unlisted, because the page [0-9a-f]{64} is not here/);
  peer.set(page, bytes);
  await origin.backup(aSource, { acceptChanges: false });
  await until('the alarm to be over', () => alarms.list().length === 0);
});
