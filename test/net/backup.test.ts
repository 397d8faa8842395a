import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { parseHostId, parseObjectId, sourceIdOf } from '../../src/core/ids.js';
import {
  askBackup,
  type BackupOrder,
  MISSING_MAX,
  serveBackup,
  type TakenSnapshot,
  UNENTERED_MAX,
  UNREAD_MAX,
} from '../../src/net/backup-protocol.js';
import { House } from './fleet.js';

const source = sourceIdOf(parseHostId('a'.repeat(32)), 'photos');
const taken: TakenSnapshot = {
  snapshot: parseObjectId(hashHex(Buffer.from('snapshot'))),
  timeMs: 1_700_000_000_123,
  files: 3,
  bytes: 2 ** 40,
  stale: 1,
  missed: 2,
  unchanged: false,
  unread: [{ path: Buffer.from([0x61, 0xff, 0x0a]), because: 'EACCES' }],
  unentered: { count: 2 ** 33, paths: [Buffer.from([0x6d, 0xff])] },
  braked: true,
  letGo: { count: 5, parts: [{ path: Buffer.from([0x64, 0xff]), because: 'NOT_MOUNTED' }] },
};

test('an order reaches the origin, and what it took comes back to the byte', async t => {
  const [asker, origin] = await new House(t).clique(2);
  const orders: BackupOrder[] = [];
  await serveBackup(origin?.net as never, async order => {
    orders.push(order);
    return { kind: 'taken', taken };
  });
  const reply = await askBackup(asker?.net as never, origin?.net.peer as never, {
    source,
    acceptChanges: true,
    acceptMissing: true,
  });
  t.deepEqual(orders, [{ source, acceptChanges: true, acceptMissing: true }]);
  t.deepEqual(reply, { kind: 'taken', taken });
});

test('a refusal comes back as its word, and no more paths than the limits', async t => {
  const [asker, origin] = await new House(t).clique(2);
  const net = asker?.net as never;
  const peer = origin?.net.peer as never;
  let reply: Awaited<ReturnType<typeof askBackup>> = { kind: 'refused', because: 'source-missing' };
  await serveBackup(origin?.net as never, async () => reply);
  for (const because of ['failed', 'unknown-source', 'source-missing'] as const) {
    reply = { kind: 'refused', because };
    t.deepEqual(await askBackup(net, peer, { source, acceptChanges: false, acceptMissing: false }), reply);
  }
  const unread = Array.from({ length: UNREAD_MAX + 5 }, (_, i) => ({ path: Buffer.from(`${i}`), because: 'EIO' }));
  const paths = Array.from({ length: UNENTERED_MAX + 5 }, (_, i) => Buffer.from(`${i}`));
  reply = { kind: 'taken', taken: { ...taken, unread, unentered: { count: paths.length, paths } } };
  const told = await askBackup(net, peer, { source, acceptChanges: false, acceptMissing: false });
  t.is(told.kind === 'taken' ? told.taken.unread.length : 0, UNREAD_MAX);
  t.deepEqual(told.kind === 'taken' ? told.taken.unentered : undefined, {
    count: UNENTERED_MAX + 5,
    paths: paths.slice(0, UNENTERED_MAX),
  });
});

test('a path that is longer than any call takes comes back as its beginning, and makes the origin no offender', async t => {
  const [asker, origin] = await new House(t).clique(2);
  const path = Buffer.alloc(5_000, 'd');
  const unread = [{ path, because: 'TOO_LONG' }];
  const unentered = { count: 1, paths: [path] };
  await serveBackup(origin?.net as never, async () => ({ kind: 'taken', taken: { ...taken, unread, unentered } }));
  const order = { source, acceptChanges: false, acceptMissing: false };
  const told = await askBackup(asker?.net as never, origin?.net.peer as never, order);
  const cut = path.subarray(0, 4_096);
  t.like(told, {
    kind: 'taken',
    taken: { unread: [{ path: cut, because: 'TOO_LONG' }], unentered: { count: 1, paths: [cut] } },
  });
});

test('what is missing comes back with the refusal, and is let go of only together with what changed', async t => {
  const [asker, origin] = await new House(t).clique(2);
  const net = asker?.net as never;
  const peer = origin?.net.peer as never;
  const parts = Array.from({ length: MISSING_MAX + 5 }, (_, n) => ({ path: Buffer.from(`${n}`), because: 'EMPTY' }));
  const orders: BackupOrder[] = [];
  await serveBackup(origin?.net as never, async order => {
    orders.push(order);
    return { kind: 'something-missing', missing: { count: parts.length, parts } };
  });
  t.deepEqual(await askBackup(net, peer, { source, acceptChanges: false, acceptMissing: true }), {
    kind: 'something-missing',
    missing: { count: parts.length, parts: parts.slice(0, MISSING_MAX) },
  });
  t.deepEqual(orders, [{ source, acceptChanges: false, acceptMissing: false }]);
});

test('an origin that fails in the middle of its run is told from one that answers', async t => {
  const [asker, origin] = await new House(t).clique(2);
  await serveBackup(origin?.net as never, async () => {
    throw new Error('the disk is on fire');
  });
  await t.throwsAsync(
    askBackup(asker?.net as never, origin?.net.peer as never, { source, acceptChanges: false, acceptMissing: false }),
    {
      code: 'STREAM_BROKEN',
    },
  );
});
