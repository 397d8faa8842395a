/** Object finder: over real nets, whom an object is asked of. */
import test from 'ava';
import { pino } from 'pino';
import { hashHex } from '../../src/core/hash.js';
import { parseObjectId } from '../../src/core/ids.js';
import type { ObjectReader } from '../../src/core/objects.js';
import { AskedTwice, LocalObjects, ObjectFinder } from '../../src/daemon/object-finder.js';
import { serveObjects } from '../../src/net/object-protocol.js';
import { DiskHangs } from '../../src/platform/disk.js';
import { type Host, House } from '../net/fleet.js';

const bytes = Buffer.from('a record');
const id = parseObjectId(hashHex(bytes));
const log = pino({ level: 'silent' });
const hanging: ObjectReader = {
  get: async () => {
    throw new DiskHangs('/mnt/stick');
  },
};
const nothing: ObjectReader = { get: async () => undefined };
const having: ObjectReader = { get: async () => bytes };

test('what is asked of others comes neither from here nor from the one that is left out', async t => {
  const [self, origin, holder] = (await new House(t).clique(3)) as [Host, Host, Host];
  let isHeld = false;
  await serveObjects(origin.net, () => ({ get: async () => bytes }));
  await serveObjects(holder.net, () => ({ get: async () => (isHeld ? bytes : undefined) }));
  const local = { get: async () => bytes };
  const likely = () => [origin.net.peer, holder.net.peer];
  const here = () => [local];
  const finder = new ObjectFinder({ quick: here, here, net: self.net, likely, log });
  t.truthy(await finder.get(id));
  t.truthy(await finder.fromOthers(id));
  t.is(await finder.fromOthers(id, undefined, origin.net.peer), undefined);
  isHeld = true;
  t.deepEqual(Buffer.from((await finder.fromOthers(id, undefined, origin.net.peer)) ?? []), bytes);
});

test('a disk here that fails ends no look-up: the other disks are asked, then the peers', async t => {
  const [self, holder] = (await new House(t).clique(2)) as [Host, Host];
  let isHeld = false;
  await serveObjects(holder.net, () => ({ get: async () => (isHeld ? bytes : undefined) }));
  const finderAmong = (...places: readonly ObjectReader[]) =>
    new ObjectFinder({ quick: () => places, here: () => places, net: self.net, likely: () => [], log });
  t.is(await finderAmong(hanging, having).get(id), bytes);
  t.is(await finderAmong(hanging, nothing).get(id), undefined);
  isHeld = true;
  t.deepEqual(Buffer.from((await finderAmong(hanging, nothing).get(id)) ?? []), bytes);
});

test('a disk here that is slow is asked when nobody else has it, and no other is asked twice', async t => {
  const [self, holder] = (await new House(t).clique(2)) as [Host, Host];
  let isHeld = true;
  await serveObjects(holder.net, () => ({ get: async () => (isHeld ? bytes : undefined) }));
  const asked: string[] = [];
  const place = (name: string, has: boolean): ObjectReader => ({
    get: async () => {
      asked.push(name);
      return has ? bytes : undefined;
    },
  });
  const [quick, slow] = [place('quick', false), place('slow', true)];
  const finder = new ObjectFinder({
    quick: () => [quick],
    here: () => [quick, slow],
    net: self.net,
    likely: () => [],
    log,
  });
  t.truthy(await finder.get(id));
  t.deepEqual(asked, ['quick']);
  isHeld = false;
  t.is(await finder.get(id), bytes);
  t.deepEqual(asked, ['quick', 'quick', 'slow']);
});

test('a false answer is one offence, however many objects were asked for with it', async t => {
  const [self, holder] = (await new House(t).clique(2)) as [Host, Host];
  await serveObjects(holder.net, () => ({ get: async () => Buffer.from('other bytes') }));
  const offences: string[] = [];
  self.net.onOffence((_peer, { code }) => offences.push(code));
  const finder = new ObjectFinder({ quick: () => [], here: () => [], net: self.net, likely: () => [], log });
  const ids = Array.from({ length: 12 }, (_, n) => parseObjectId(hashHex(Buffer.from(`record ${n}`))));
  const found = await Promise.all(ids.map(each => finder.get(each)));
  t.deepEqual(found, Array(12).fill(undefined));
  t.deepEqual(offences, ['OBJECT_MISMATCH']);
});

test('who takes what is on no disk here for lost hears of a disk that may have it', async t => {
  t.is(await new LocalObjects(() => [hanging, having]).get(id), bytes);
  await t.throwsAsync(new LocalObjects(() => [hanging, nothing]).get(id), { code: 'DISK_HANGS' });
  t.is(await new LocalObjects(() => [nothing]).get(id), undefined);
});

test('when sixteen did not come the second time either, the first answer counts', async t => {
  let asked = 0;
  const nobody = {
    get: async () => {
      asked += 1;
      return undefined;
    },
  };
  const reader = new AskedTwice(nobody, new AbortController().signal);
  await Promise.all(Array.from({ length: 15 }, () => reader.get(id)));
  await reader.get(id);
  t.is(asked, 32);
  await reader.get(id);
  t.is(asked, 33);
});
