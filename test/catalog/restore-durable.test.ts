/** What a power cut would leave of a restore, told by when the disk was asked to keep what. */
import { existsSync, fstatSync, lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { OTHER_FILE_SYSTEMS_MAX } from '../../src/catalog/restore-flush.js';
import { MARK_FOLDER } from '../../src/catalog/restore-names.js';
import { posix } from '../../src/platform/posix.js';
import { skip } from '../helpers/skip.js';
import { mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, entryOf, fileOf, interruptedRestore, placed, restore } from './restore-fixture.js';
import { standIn } from './stand-in.js';

/** These tests put themselves before the system's call. */
const stoodIn = posix() as { syncfs?: ((fd: number) => Promise<void>) | undefined } | undefined;

/** Inode, size and time of each regular file below `folder`. */
function filesOf(folder: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const stats = lstatSync(join(folder, name), { bigint: true });
    if (stats.isFile()) files.set(name, `${stats.ino} ${stats.size} ${stats.mtimeNs}`);
  }
  return files;
}

/** What is below `target` when a flush begins is on disk when it has ended. */
function watchFlushes(t: ExecutionContext, target: string, failing = false) {
  const kept = new Set<string>();
  const real = stoodIn?.syncfs;
  if (stoodIn === undefined || real === undefined) throw new Error('not on this system');
  stoodIn.syncfs = async fd => {
    const found = [...filesOf(target).values()];
    if (failing) throw Object.assign(new Error('EIO: syncfs failed'), { code: 'EIO' });
    await real(fd);
    for (const file of found) kept.add(file);
  };
  t.teardown(() => {
    stoodIn.syncfs = real;
  });
  return { notKept: () => [...namedIn(target)].filter(([, file]) => !kept.has(file)).map(([name]) => name) };
}

/** A folder with a file and a symlink, two folders down; on a disk if one is mounted on the first. */
const ON_A_DISK = placed([
  entryOf('', { kind: 'directory' }),
  entryOf('disk', { kind: 'directory', mode: 0o750 }),
  entryOf('disk/a', { kind: 'directory', mode: 0o500 }),
  fileOf('disk/a/file', 'content'),
  entryOf('disk/a/link', { kind: 'symlink', target: Buffer.from('file') }),
]);

/** Name, mode and time of all below `folder`, and its own. */
const shapeOf = (folder: string): readonly string[] =>
  ['', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })].sort().map(name => {
    const { mode, mtimeNs } = lstatSync(join(folder, name), { bigint: true });
    return `${name} ${mode.toString(8)} ${mtimeNs}`;
  });

const namedIn = (target: string): [string, string][] =>
  [...filesOf(target)].filter(([name]) => !name.startsWith(MARK_FOLDER));

function aTree() {
  const blobs = new Blobs();
  const link = { link: '00000000000000bb' };
  const hole = Buffer.concat([Buffer.from('begins'), Buffer.alloc(256 * 1024)]);
  const contents = ['', 'a', 'shared', 'shared', hole, Buffer.alloc(9 * 1024 * 1024, 7)];
  const entries = [
    entryOf('', { kind: 'directory' }),
    ...contents.map((content, n) => fileOf(`f${n}`, content)),
    fileOf('linked1', 'one inode', link),
    fileOf('linked2', 'one inode', link),
    entryOf('z', { kind: 'directory', mode: 0o500 }),
    fileOf('z/file', 'a'),
  ];
  for (const content of [...contents, 'one inode']) blobs.add(content);
  return { list: placed(entries, 3), blobs, files: contents.length + 3 };
}

if (stoodIn?.syncfs !== undefined) {
  test.serial('no file has its name before its bytes and its time are on disk', async t => {
    const target = join(temporaryFolder(t), 'target');
    const { list, blobs, files } = aTree();
    const { notKept } = watchFlushes(t, target);
    const early = new Set<string>();
    const { report } = await restore({
      target,
      list,
      blobs,
      onProgress: () => {
        for (const name of notKept()) early.add(name);
      },
    });
    t.deepEqual([...early], []);
    t.is(namedIn(target).length, files);
    t.like(report, { files, failed: 0, notSet: 0 });
    t.is(lstatSync(join(target, 'linked1')).ino, lstatSync(join(target, 'linked2')).ino);
  });

  test.serial('names, modes and times on a disk below the target are on disk before the mark is gone', async t => {
    const why = whyNoSmallDisk();
    if (why !== undefined) return skip(t, why);
    const target = join(temporaryFolder(t), 'target');
    const disk = join(target, 'disk');
    mkdirSync(disk, { recursive: true });
    mountSmallDisk(t, disk, 1024 * 1024);
    const device = statSync(disk).dev;
    const real = stoodIn.syncfs;
    let kept: unknown;
    stoodIn.syncfs = async fd => {
      if (fstatSync(fd).dev !== device) return;
      t.true(existsSync(join(target, MARK_FOLDER, 'mark')));
      kept = shapeOf(disk);
    };
    t.teardown(() => {
      stoodIn.syncfs = real;
    });
    const { report } = await restore({
      target,
      list: ON_A_DISK,
      blobs: new Blobs().add('content'),
      existing: 'overwrite',
    });
    t.like(report, { files: 1, symlinks: 1, failed: 0 });
    t.deepEqual(kept, shapeOf(disk));
    t.false(existsSync(join(target, MARK_FOLDER)));
  });

  test.serial('nothing is restored to a disk below the target that no flush would reach', async t => {
    const why = whyNoSmallDisk();
    if (why !== undefined) return skip(t, why);
    const target = join(temporaryFolder(t), 'target');
    const folder = (path: string) => entryOf(path, { kind: 'directory' });
    const entries = [folder('')];
    // One more than the flush keeps open: the last in path order is not reached.
    for (let disk = 1000; disk <= 1000 + OTHER_FILE_SYSTEMS_MAX; disk += 1) {
      mkdirSync(join(target, `${disk}`), { recursive: true });
      mountSmallDisk(t, join(target, `${disk}`), 1024 * 1024);
      entries.push(folder(`${disk}`), fileOf(`${disk}/file`, 'content'));
    }
    const { report, problems } = await restore({
      target,
      list: placed(entries),
      blobs: new Blobs().add('content'),
      existing: 'overwrite',
    });
    t.like(report, { files: OTHER_FILE_SYSTEMS_MAX, failed: 2 });
    const last = 1000 + OTHER_FILE_SYSTEMS_MAX;
    t.deepEqual(
      problems.map(({ path }) => path.toString()).filter(path => !path.startsWith(`${last}`)),
      [],
    );
    t.deepEqual(readdirSync(join(target, `${last}`)), []);
  });

  test.serial('an interrupted restore names what is finished, when the disk has it', async t => {
    const target = join(temporaryFolder(t), 'target');
    const { list, blobs } = aTree();
    const { notKept } = watchFlushes(t, target);
    const interrupted = interruptedRestore({ target, list, blobs }, { afterBytes: 8 * 1024 * 1024 + 1 });
    await t.throwsAsync(interrupted, { message: 'interrupted' });
    t.true(namedIn(target).length > 0);
    t.deepEqual(notKept(), []);
  });

  test.serial('a disk that did not take it stops the restore, with nothing named and nothing left beside', async t => {
    const target = join(temporaryFolder(t), 'target');
    const { list, blobs } = aTree();
    watchFlushes(t, target, true);
    await t.throwsAsync(restore({ target, list, blobs }), { code: 'RESTORE_STOPPED', message: /EIO/ });
    t.deepEqual([...filesOf(target).keys()], [`${MARK_FOLDER}/mark`]);
  });

  test.serial('where there is no such call, each file is flushed by itself before it is named', async t => {
    const target = join(temporaryFolder(t), 'target');
    const { list, blobs, files } = aTree();
    const { syncfs } = stoodIn;
    const flushed = new Set<string>();
    stoodIn.syncfs = undefined;
    const folders = new Map<bigint, string>();
    standIn(t, 'fsyncSync', real => fd => {
      real(fd);
      const stats = fstatSync(fd, { bigint: true });
      const { ino, size, mtimeNs, mode } = stats;
      if (stats.isDirectory()) folders.set(ino, `${mode} ${mtimeNs}`);
      else flushed.add(`${ino} ${size} ${mtimeNs}`);
    });
    t.teardown(() => {
      stoodIn.syncfs = syncfs;
    });
    const { report } = await restore({ target, list, blobs });
    t.like(report, { files, failed: 0 });
    t.deepEqual(
      namedIn(target).filter(([, file]) => !flushed.has(file)),
      [],
    );
    const { ino, mode, mtimeNs } = lstatSync(join(target, 'z'), { bigint: true });
    t.is(folders.get(ino), `${mode} ${mtimeNs}`, 'a folder is flushed when it has its names, mode and time');
    t.true(folders.has(lstatSync(target, { bigint: true }).ino));
  });
}
