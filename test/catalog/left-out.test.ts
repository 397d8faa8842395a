import test from 'ava';
import { unseen } from '../../src/catalog/forbidden-folder.js';
import { leftOutBy } from '../../src/catalog/left-out.js';

test('a folder is left out by a pattern for it or for one above it, and as a store or in one', t => {
  const isLeftOut = leftOutBy({
    path: '/srv/files/',
    exclude: ['usb', '/top', '*.txt', '!/kept/usb'],
    forbidden: [unseen('/srv/files/disk/hoard'), unseen('/srv/other')],
  });
  const asked = (path: string): boolean => isLeftOut(Buffer.from(path));
  for (const path of ['usb', 'a/usb', 'usb/b', 'top', 'top/b', 'a.txt', 'disk/hoard', 'disk/hoard/b'])
    t.true(asked(path), path);
  for (const path of ['a', 'a/top', 'kept/usb', 'disk', 'disk/hoard2', 'other']) t.false(asked(path), path);
});
