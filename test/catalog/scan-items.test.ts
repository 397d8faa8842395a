/** Items come out of a message as they went into it: those in rows, and those that are cloned, in their order. */
import { type BigIntStats, lstatSync } from 'node:fs';
import test from 'ava';
import { BATCH_ITEMS, ItemBatch, unpackItems } from '../../src/catalog/scan-items.js';
import { statPrint } from '../../src/catalog/section.js';
import { hashHex } from '../../src/core/hash.js';
import type { BlobId } from '../../src/core/ids.js';

const REGULAR = 0o100000n;
const FOLDER = 0o040000n;

const statLike = (change: Partial<BigIntStats>): BigIntStats => ({
  ...lstatSync('.', { bigint: true }),
  mtimeNs: -1_700_000_000_123_456_789n,
  ...change,
});
const crossed = (batch: ItemBatch) => [...unpackItems(structuredClone(batch.take()))];

test('files and folders in rows keep all that their stats say', t => {
  const blob = hashHex(Buffer.from('content')) as BlobId;
  const file = statLike({ mode: REGULAR | 0o4755n, uid: 4_294_967_294n, gid: 7n, size: 2n ** 40n + 5n });
  const folder = statLike({ mode: FOLDER | 0o1777n, uid: 0n, gid: 0n, size: 4096n });
  const path = Buffer.alloc(4096, 'ä');
  const batch = new ItemBatch();
  batch.addPlain({ path, stat: file, user: 'ann', group: 'users', mark: 4_294_967_295, blob });
  batch.addPlain({ path: Buffer.of(0xff), stat: folder, user: '', group: 'users', mark: 0, blob: undefined });
  const plain = { target: undefined, link: undefined, device: 0n, xattrs: [], stale: false, mount: false };
  const { mtimeNs } = file;
  t.deepEqual(crossed(batch), [
    {
      kind: 'entry',
      entry: {
        ...{ path, kind: 'file', mode: 0o4755, uid: 4_294_967_294, gid: 7, user: 'ann', group: 'users', mtimeNs },
        ...{ size: 2 ** 40 + 5, blob, ...plain },
      },
      mark: 4_294_967_295,
      hidden: false,
      print: Buffer.from(statPrint(file)),
    },
    {
      kind: 'entry',
      entry: {
        ...{
          path: Buffer.of(0xff),
          kind: 'directory',
          mode: 0o1777,
          uid: 0,
          gid: 0,
          user: '',
          group: 'users',
          mtimeNs,
        },
        ...{ size: 0, blob: undefined, ...plain },
      },
      mark: 0,
      hidden: false,
      print: Buffer.from(statPrint(folder)),
    },
  ]);
});

test('items keep their order, whichever way they cross, and a batch is empty once it is taken', t => {
  const stat = statLike({ mode: REGULAR });
  const batch = new ItemBatch();
  for (const isPlain of [
    [false, true, true, false, false, true],
    [true, false],
    Array.from({ length: BATCH_ITEMS }, () => true),
  ]) {
    for (const [n, plain] of isPlain.entries()) {
      const path = Buffer.alloc(4096, `${n} `);
      if (plain) batch.addPlain({ path, stat, user: `user ${n}`, group: '', mark: n, blob: '0'.repeat(64) });
      else batch.add({ path: path.toString('latin1'), unread: 'content', because: 'EIO' });
    }
    const items = crossed(batch);
    t.deepEqual(
      items.map(item => item.kind === 'entry'),
      isPlain,
    );
    for (const [n, item] of items.entries()) {
      const path = item.kind === 'entry' ? item.entry.path : item.kind === 'unread' ? item.path : undefined;
      t.deepEqual(path, Buffer.alloc(4096, `${n} `));
      if (item.kind === 'entry') t.is(item.entry.user, `user ${n}`);
    }
  }
  t.is(batch.items, 0);
});
