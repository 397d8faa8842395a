import test from 'ava';
import { isSyncfsBelieved, syncFileSystemOf } from '../../src/platform/sync-file-system.js';

const EXT4 = 0xef53;
const believed = { ext4: EXT4, xfs: 0x58465342, btrfs: 0x9123683e, f2fs: 0xf2f52010, zfs: 0x2fc12fc1 };
const others = {
  fuse: 0x65735546,
  vfat: 0x4d44,
  exfat: 0x2011bab0,
  ntfs3: 0x7366746e,
  overlayfs: 0x794c7630,
  nfs: 0x6969,
  cifs: 0xff534d42,
};

for (const [name, type] of Object.entries(believed)) {
  test(`syncfs is believed of ${name}`, t => t.true(isSyncfsBelieved({ type, release: '6.1.0-18-amd64' })));
}

for (const [name, type] of Object.entries(others)) {
  test(`syncfs is not believed of ${name}`, t => t.false(isSyncfsBelieved({ type, release: '6.1.0-18-amd64' })));
}

test('it is believed from Linux 5.8 on, which tells of what failed before the call', t => {
  for (const release of ['5.8.0', '5.10.0-28-amd64', '6.0', '10.1-rc1']) {
    t.true(isSyncfsBelieved({ type: EXT4, release }), release);
  }
  for (const release of ['5.7.19', '4.18.0-513.el8', '4.19.0', '', 'unknown']) {
    t.false(isSyncfsBelieved({ type: EXT4, release }), release);
  }
});

if (process.platform === 'linux') {
  test('what a folder lies on decides', t => t.is(syncFileSystemOf('/proc'), undefined));
}
