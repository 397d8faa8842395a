import { execFileSync } from 'node:child_process';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { posix } from '../../src/platform/posix.js';
import type { NameStat } from '../../src/platform/stat-calls.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const statAt = posix()?.statAt;

/** A class has its questions in its prototype. */
const shown = (stat: NameStat) => {
  const { dev, ino, mode, nlink, uid, gid, rdev, size, mtimeNs, ctimeNs, birthtimeNs } = stat;
  const kinds = (
    ['isFile', 'isDirectory', 'isSymbolicLink', 'isSocket', 'isFIFO', 'isBlockDevice', 'isCharacterDevice'] as const
  ).filter(is => stat[is]());
  return { dev, ino, mode, nlink, uid, gid, rdev, size, mtimeNs, ctimeNs, birthtimeNs, kinds };
};

if (statAt === undefined) test('stats of names', t => skip(t, 'there is no statx here'));
else {
  test('whatever is in a folder has the stat that Node gives of it', t => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'file'), 'content', { mode: 0o4751 });
    utimesSync(join(folder, 'file'), 1, -3.5);
    mkdirSync(join(folder, 'folder'));
    symlinkSync('nowhere', join(folder, 'link'));
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0x0a)]), '');
    writeFileSync(join(folder, 'n'.repeat(255)), '');
    const paths = [folder, '/dev'].flatMap(path =>
      readdirSync(path, { encoding: 'latin1' }).map(name => ({ path, name })),
    );
    for (const { path, name } of paths) {
      const node = lstatSync(Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name, 'latin1')]), { bigint: true });
      // Devices are wanted; what else is there may be written to meanwhile.
      if (path === '/dev' && !node.isCharacterDevice() && !node.isBlockDevice()) continue;
      const descriptor = openSync(path, 'r');
      const found = statAt(descriptor, name);
      closeSync(descriptor);
      const { mtimeNs, ctimeNs, ...lasting } = shown(node);
      t.like(found && shown(found), path === '/dev' ? lasting : { mtimeNs, ctimeNs, ...lasting }, join(path, name));
    }
  });

  test('what is not there, or has too long a name, has none', t => {
    const descriptor = openSync(temporaryFolder(t), 'r');
    t.teardown(() => closeSync(descriptor));
    t.is(statAt(descriptor, 'gone'), undefined);
    t.is(statAt(descriptor, 'n'.repeat(256)), undefined);
    t.is(statAt(-1, 'gone'), undefined);
  });
}
