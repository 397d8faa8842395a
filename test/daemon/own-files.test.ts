/** Own files: what becomes of the file that is read when the other store takes no more of it. */
import test from 'ava';
import type { BlobId, StoreId } from '../../src/core/ids.js';
import { type OwnFilesOptions, takeOwnFiles } from '../../src/daemon/own-files.js';

const ref = { blob: 'ab'.repeat(32), bytes: 8 };

/** A blob in a store that says how many of its files are open. */
function aGiver(pieces: () => AsyncGenerator<Uint8Array>) {
  const open = { files: 0 };
  async function* read() {
    open.files += 1;
    try {
      yield* pieces();
    } finally {
      open.files -= 1;
    }
  }
  const giver = { id: 'giver' as StoreId, holds: () => true, openBlob: async () => ({ read }) };
  return { open, giver };
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield Buffer.alloc(4);
}

const taking = (giver: object, write: () => Promise<void>): OwnFilesOptions =>
  ({
    into: {
      id: 'taker' as StoreId,
      discardPartial: async () => undefined,
      receive: async () => ({ write, abort: async () => undefined, finish: async () => undefined }),
    },
    stores: [giver],
    missing: [ref],
    onFound: () => undefined,
    onUnread: () => undefined,
  }) as unknown as OwnFilesOptions;

test('when the other disk is full, the file that is read is closed', async t => {
  const { open, giver } = aGiver(endless);
  let openThen = 0;
  const full = async () => {
    openThen = open.files;
    throw Object.assign(new Error('full'), { code: 'STORE_FULL' });
  };
  await t.throwsAsync(takeOwnFiles(taking(giver, full), new AbortController().signal), { code: 'STORE_FULL' });
  t.is(openThen, 1);
  t.is(open.files, 0);
});

test('when the fetch is cancelled, the file is closed once the disk answers, and nobody waits for that', async t => {
  let answer: () => void = () => undefined;
  const { open, giver } = aGiver(async function* () {
    yield Buffer.alloc(4);
    await new Promise<void>(resolve => {
      answer = resolve;
    });
    yield Buffer.alloc(4);
  });
  const needed = new AbortController();
  const written = async () => void setImmediate(() => needed.abort(new Error('no longer needed')));
  await t.throwsAsync(takeOwnFiles(taking(giver, written), needed.signal), { message: 'no longer needed' });
  t.is(open.files, 1);
  answer();
  await new Promise(setImmediate);
  t.is(open.files, 0);
});

test('a file that cannot be read is named with its store', async t => {
  const unread: unknown[] = [];
  const broken = aGiver(async function* () {
    yield Buffer.alloc(4);
    throw new Error('the disk says no');
  });
  const options = {
    ...taking(broken.giver, async () => undefined),
    onUnread: (store: StoreId, blob: BlobId) => unread.push([store, blob]),
  };
  t.deepEqual(await takeOwnFiles(options, new AbortController().signal), [ref]);
  t.deepEqual(unread, [['giver', ref.blob]]);
});
