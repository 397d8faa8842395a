/** Object finder: over real nets, whom an object is asked of. */
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { parseObjectId } from '../../src/core/ids.js';
import { AskedTwice, ObjectFinder } from '../../src/daemon/object-finder.js';
import { serveObjects } from '../../src/net/object-protocol.js';
import { type Host, House } from '../net/fleet.js';

const bytes = Buffer.from('a record');
const id = parseObjectId(hashHex(bytes));

test('what is asked of others comes neither from here nor from the one that is left out', async t => {
  const [self, origin, holder] = (await new House(t).clique(3)) as [Host, Host, Host];
  let isHeld = false;
  await serveObjects(origin.net, () => ({ get: async () => bytes }));
  await serveObjects(holder.net, () => ({ get: async () => (isHeld ? bytes : undefined) }));
  const local = { get: async () => bytes };
  const likely = () => [origin.net.peer, holder.net.peer];
  const finder = new ObjectFinder({ local, net: self.net, likely });
  t.truthy(await finder.get(id));
  t.truthy(await finder.fromOthers(id));
  t.is(await finder.fromOthers(id, undefined, origin.net.peer), undefined);
  isHeld = true;
  t.deepEqual(Buffer.from((await finder.fromOthers(id, undefined, origin.net.peer)) ?? []), bytes);
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
