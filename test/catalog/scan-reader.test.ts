/** What the scan reads of a file is of one moment, whatever becomes of the file after it was met. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Content, ScanReader } from '../../src/catalog/scan-reader.js';
import { hashHex } from '../../src/core/hash.js';
import type { BlobId } from '../../src/core/ids.js';

import { setRawXattr } from '../helpers/raw-xattrs.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { xattrTest } from '../helpers/xattr-test.js';

const MIB = 1024 * 1024;
/** Takes files of any size; others take 16 TiB. */
const ROOMY = '/dev/shm';

const aFile = (t: ExecutionContext, content: Uint8Array | string): string => {
  const path = join(temporaryFolder(t), 'file');
  writeFileSync(path, content);
  return path;
};

/** `afterRead`: is told how many reads there were so far. */
function read(
  path: string,
  { change, afterRead }: { readonly change?: () => void; readonly afterRead?: (reads: number) => void } = {},
): Content {
  let reads = 0;
  const reader = new ScanReader(() => {
    reads += 1;
    afterRead?.(reads);
  });
  const met = lstatSync(path, { bigint: true });
  change?.();
  return reader.read(Buffer.from(path), met);
}

function isWhole(t: ExecutionContext, path: string, content: Content): void {
  const { size, ino, ctimeNs } = lstatSync(path, { bigint: true });
  t.like(content, { blob: hashHex(readFileSync(path)) as BlobId, stat: { size, ino, ctimeNs } });
}

test('files of all sizes are read whole, in as few calls as can be', t => {
  for (const [size, calls] of [
    [1, 1],
    [MIB - 1, 1],
    [MIB, 1],
    [MIB + 1, 2],
    [3 * MIB, 3],
  ] as const) {
    const path = aFile(t, Buffer.alloc(size, 'content '));
    let reads = 0;
    isWhole(
      t,
      path,
      read(path, {
        afterRead: count => {
          reads = count;
        },
      }),
    );
    t.is(reads, calls);
  }
});

test('a file that was changed or replaced since it was met is read as it is now', t => {
  const changes: readonly ((path: string) => void)[] = [
    path => appendFileSync(path, ' and more'),
    path => truncateSync(path, 3),
    path => truncateSync(path),
    path => writeFileSync(path, 'CONTENT'),
    path => appendFileSync(path, Buffer.alloc(2 * MIB)),
    path => {
      // Of the same size and time: only the inode is another.
      writeFileSync(`${path}.new`, 'CONTENT');
      renameSync(`${path}.new`, path);
    },
  ];
  for (const change of changes) {
    const path = aFile(t, 'content');
    isWhole(t, path, read(path, { change: () => change(path) }));
  }
});

test('a file that changes while it is read is read once more, and then not believed', t => {
  for (const size of [7, 2 * MIB]) {
    const path = aFile(t, Buffer.alloc(size, 'x'));
    isWhole(t, path, read(path, { afterRead: reads => (reads === 1 ? appendFileSync(path, 'y') : undefined) }));
    t.deepEqual(read(path, { afterRead: () => appendFileSync(path, 'z') }), { unread: 'UNSTABLE' });
  }
});

test('what came in the place of a file is not read, and what is gone has vanished', t => {
  const changes: readonly [(path: string) => void, string][] = [
    [path => mkdirSync(path), 'UNSTABLE'],
    [path => symlinkSync('file.other', path), 'UNSTABLE'],
    [path => void execFileSync('mkfifo', [path]), 'UNSTABLE'],
    [() => undefined, 'ENOENT'],
  ];
  for (const [change, unread] of changes) {
    const path = aFile(t, 'content');
    writeFileSync(`${path}.other`, 'content');
    const met = lstatSync(path, { bigint: true });
    rmSync(path);
    change(path);
    const content = new ScanReader(() => undefined).read(Buffer.from(path), met);
    t.like(content, { unread });
    t.is('vanished' in content && content.vanished === true, unread === 'ENOENT');
  }
});

xattrTest(
  'the attributes are those of the file that was read, though a folder above it gets another name meanwhile',
  t => {
    const folder = temporaryFolder(t);
    for (const size of [7, 2 * MIB]) {
      const path = join(folder, 'album', 'file');
      mkdirSync(join(folder, 'album'));
      writeFileSync(path, Buffer.alloc(size, 'x'));
      setRawXattr(path, 'user.rating', '5');
      const content = read(path, {
        afterRead: reads => (reads === 1 ? renameSync(join(folder, 'album'), join(folder, `album${size}`)) : undefined),
      });
      const attributes = 'blob' in content ? content.attributes : undefined;
      t.deepEqual(attributes, {
        xattrs: [{ name: Buffer.from('user.rating'), value: Buffer.from('5') }],
        unread: undefined,
      });
    }
  },
);

test('what the listener throws ends the reading', t => {
  const path = aFile(t, 'content');
  const ended = new Error('ended');
  t.is(
    t.throws(() =>
      read(path, {
        afterRead: () => {
          throw ended;
        },
      }),
    ),
    ended,
  );
});

test('a file of a size that nobody can read, which a sparse one may have, is not begun', t => {
  if (!existsSync(ROOMY)) return skip(t, `there is no ${ROOMY}`);
  const path = join(temporaryFolder(t, { below: ROOMY }), 'disk.img');
  writeFileSync(path, '');
  truncateSync(path, 2 ** 48);
  const afterRead = (): void => t.fail('it was read');
  t.deepEqual(read(path, { afterRead }), { unread: 'TOO_LARGE' });
});
