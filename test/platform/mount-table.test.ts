import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { mountPoints } from '../../src/platform/mount-table.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

/** What is read of a table with these lines: mount, the one it lies in, device, what it shows, and where. */
function pointsOf(t: ExecutionContext, ...lines: readonly string[]): readonly string[] {
  const path = join(temporaryFolder(t), 'mountinfo');
  writeFileSync(path, lines.map(line => `${line} rw,relatime shared:1 - ext4 /dev/sda1 rw\n`).join(''), 'latin1');
  return [...(mountPoints(path) ?? [])];
}

test('mount points are those of other file systems and of other folders of the same one', t => {
  const points = pointsOf(
    t,
    '1 0 8:1 / /',
    '2 1 0:5 / /dev',
    '3 1 8:1 /big/photos /srv/photos',
    '4 3 8:1 / /srv/photos/all',
    '5 1 8:2 / /home',
    '6 5 8:2 /ann /home/ben',
  );
  t.deepEqual(points, ['/', '/dev', '/srv/photos', '/srv/photos/all', '/home', '/home/ben']);
});

test('a mount that shows the folder that is there anyway is none', t => {
  const points = pointsOf(
    t,
    '1 0 8:1 /old /',
    '2 1 8:1 /old /',
    '3 2 8:1 /old/srv/hoard /srv/hoard',
    '4 2 8:1 /big /srv/big',
    '5 4 8:1 /big/sub /srv/big/sub',
    '6 4 8:1 /big /srv/big',
    // As the last, but on another file system.
    '7 4 8:2 /big/sub /srv/big/sub',
  );
  t.deepEqual(points, ['/', '/srv/big', '/srv/big/sub']);
});

test('names are bytes, and those that the table escapes are as they are', t => {
  const points = pointsOf(t, '1 0 8:1 / /', '2 1 0:9 / /a\\040disk\\011\\012\\134\xff');
  t.deepEqual(points, ['/', '/a disk\t\n\\\xff']);
});

test('where no table can be read, nobody knows', t => {
  t.is(mountPoints(join(temporaryFolder(t), 'none')), undefined);
});
