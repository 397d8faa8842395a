/** Log contract: a store's operations, each once, chained, and in the order in which they were told. */
import type { TestFn } from 'ava';
import { logAfter, logStart } from '../../src/core/holdings-log.js';
import { sourceIdOf } from '../../src/core/ids.js';
import { blobOf, grab, HOST, parcelOf, receive } from '../helpers/test-parcels.js';
import type { StoreMaker } from './contract-store.js';

export function testLogContract(test: TestFn, { make }: StoreMaker): void {
  test('a new store holds nothing and its log begins at its epoch', async t => {
    const store = await make(t);
    const position = store.position();
    t.deepEqual(position, logStart(store.id, position.epoch));
    t.deepEqual([...store.present()], []);
    t.deepEqual(await store.ops(0, 10), []);
    t.false(store.holds(blobOf('a').blob));
  });

  test('the log has one add a parcel, chained, and commit returns its position', async t => {
    const store = await make(t);
    const [first, second] = [parcelOf('1'), parcelOf('2')];
    await grab(store, first);
    await receive(store, blobOf('2'));
    const after = await store.commit(second.id, second.record);
    const ops = await store.ops(0, 10);
    t.deepEqual(ops, [
      { op: 'add', parcel: first.id },
      { op: 'add', parcel: second.id },
    ]);
    const chained = ops.reduce(logAfter, logStart(store.id, after.epoch));
    t.deepEqual(after, chained);
    t.deepEqual(store.position(), chained);
  });

  test('ops are given out from any number on, and so are the positions to sign them by', async t => {
    const store = await make(t);
    const parcels = Array.from({ length: 20 }, (_, n) => parcelOf(`blob ${n}`));
    for (const parcel of parcels) await grab(store, parcel);
    const all = await store.ops(0, 100);
    t.is(all.length, 20);
    t.deepEqual(await store.ops(7, 5), all.slice(7, 12));
    t.deepEqual(await store.ops(20, 5), []);
    t.deepEqual(await store.ops(3, 0), []);
    let position = logStart(store.id, store.position().epoch);
    t.deepEqual(await store.positionAt(0), position);
    for (const [n, op] of all.entries()) {
      position = logAfter(position, op);
      t.deepEqual(await store.positionAt(n + 1), position);
    }
  });

  test('head operations are kept with the highest number, and a lower one adds nothing', async t => {
    const store = await make(t);
    const source = sourceIdOf(HOST, 'photos');
    t.is(store.headSeq(source), 0);
    await store.appendHead(source, 3);
    await store.appendHead(source, 2);
    await store.appendHead(source, 3);
    t.is(store.headSeq(source), 3);
    t.deepEqual(await store.ops(0, 10), [{ op: 'head', source, seq: 3 }]);
  });
}
