import test from 'ava';
import { isKeptXattr, needsRoot } from '../../src/catalog/xattr-rule.js';

const kept = (platform: NodeJS.Platform, names: readonly string[]): string[] =>
  names.filter(name => isKeptXattr(Buffer.from(name, 'latin1'), platform));

const LINUX = [
  'user.comment',
  'user.\xff',
  'system.posix_acl_access',
  'system.posix_acl_default',
  'security.capability',
];
const LINUX_LEFT_OUT = [
  'user.',
  'user',
  'security.selinux',
  'security.SMACK64',
  'security.apparmor',
  'security.ima',
  'security.evm',
  'trusted.overlay.opaque',
  'system.nfs4_acl',
  'system.posix_acl_access2',
  'btrfs.compression',
  'com.apple.FinderInfo',
];
const MACOS = ['com.apple.FinderInfo', 'com.apple.ResourceFork', 'com.apple.metadata:_kMDItemUserTags', 'user.comment'];
const MACOS_LEFT_OUT = [
  'com.apple.provenance',
  'com.apple.lastuseddate#PS',
  'com.apple.macl',
  'com.apple.rootless',
  'com.apple.decmpfs',
  'com.apple.system.Security',
  'security.capability',
  'system.posix_acl_access',
  'trusted.overlay.opaque',
];

test('on Linux, users’ attributes, ACLs and capabilities are kept, and no labels and books of the system', t => {
  t.deepEqual(kept('linux', [...LINUX, ...LINUX_LEFT_OUT]), LINUX);
});

test('on macOS all are kept but what the system writes by itself', t => {
  t.deepEqual(kept('darwin', [...MACOS, ...MACOS_LEFT_OUT]), MACOS);
});

test('on FreeBSD those of users are kept, and where no calls are known none', t => {
  t.deepEqual(kept('freebsd', ['user.a', ...LINUX.slice(2)]), ['user.a']);
  t.deepEqual(kept('aix', LINUX), []);
});

test('only a capability needs root', t => {
  t.deepEqual(
    LINUX.filter(name => needsRoot(Buffer.from(name, 'latin1'))),
    ['security.capability'],
  );
});
