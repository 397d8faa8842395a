import { spawnSync } from 'node:child_process';
import { chownSync, lstatSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { Entry, Xattr } from '../../src/catalog/entry.js';
import { hasXattrsOf, setXattrs } from '../../src/catalog/restore-xattrs.js';
import { lutimes, posix } from '../../src/platform/posix.js';
import { acl, rawXattrs, setRawXattr, whyNoXattrs } from '../helpers/raw-xattrs.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { WITHOUT_KOFFI } from '../helpers/without-koffi.js';
import { xattrTest } from '../helpers/xattr-test.js';
import { Blobs, entryOf, fileOf, placed, restore } from './restore-fixture.js';

const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';
const CAPABILITY = 'security.capability';
/** `cap_net_raw=ep`, as the kernel keeps it (linux/capability.h): revision 2, effective, and bit 13. */
const CAP_NET_RAW = Buffer.from('0100000200200000000000000000000000000000', 'hex');
/** Somebody may write, and so the mask lets them: the mode shows 6 for the group, which itself may only read. */
const RIGHTS = acl({ mask: 6, user: { id: 12_345, rights: 6 } });
const MODE_OF_RIGHTS = 0o664;

/** An account without rights, whatever its number means here. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

function xattrs(values: Readonly<Record<string, string | Buffer>>): Xattr[] {
  const list = Object.entries(values).map(([name, value]) => ({ name: Buffer.from(name), value: Buffer.from(value) }));
  return list.sort((a, b) => Buffer.compare(a.name, b.name));
}

/** As `rawXattrs` gives them. */
const raw = ({ xattrs: list }: Entry): Record<string, string> =>
  Object.fromEntries(list.map(({ name, value }) => [name.toString('latin1'), value.toString('hex')]));

const hex = (text: string): string => Buffer.from(text).toString('hex');

/** Folders and files with all that is kept of attributes. */
const TREE: readonly Entry[] = [
  entryOf('', { kind: 'directory', xattrs: xattrs({ 'user.root': 'of the source' }) }),
  fileOf('bare', 'x'),
  fileOf('empty', '', { xattrs: xattrs({ 'user.empty': '' }) }),
  entryOf('folder', {
    kind: 'directory',
    mode: 0o2775,
    xattrs: xattrs({
      [DEFAULT]: RIGHTS,
      [ACCESS]: acl({ owner: 7, mask: 7, others: 5, user: { id: 12_345, rights: 7 } }),
      'user.a': 'folder',
    }),
  }),
  fileOf('folder/inner', 'x', { mode: 0o600 }),
  entryOf('locked', { kind: 'directory', mode: 0o555, xattrs: xattrs({ 'user.locked': 'folder' }) }),
  fileOf('locked/file', 'y', { mode: 0o444, xattrs: xattrs({ 'user.locked': 'file' }) }),
  fileOf('shared', 'x', {
    mode: MODE_OF_RIGHTS,
    xattrs: xattrs({ [ACCESS]: RIGHTS, 'user.b': 'b', 'user.\u00fc': '\0' }),
  }),
];
const blobs = (): Blobs => new Blobs().add('x').add('y');

xattrTest(
  'attributes and ACLs are the snapshot’s, on files, folders and the target, with modes and times exact',
  async t => {
    const target = join(temporaryFolder(t), 'target');
    const { report, problems } = await restore({ target, list: placed(TREE), blobs: blobs(), verify: true });
    t.deepEqual(problems, []);
    t.is(report.verified, TREE.length - 1);
    for (const entry of TREE) {
      const place = join(target, entry.path.toString());
      t.deepEqual(rawXattrs(place), raw(entry), place);
      const { mode, mtimeNs } = lstatSync(place, { bigint: true });
      t.is(Number(mode & 0o7777n), entry.mode, place);
      t.is(mtimeNs, entry.mtimeNs, place);
    }
  },
);

xattrTest('what the target’s own folder hands down is not left on what is restored', async t => {
  const folder = temporaryFolder(t);
  setRawXattr(folder, DEFAULT, RIGHTS);
  const target = join(folder, 'target');
  const { problems } = await restore({ target, list: placed(TREE), blobs: blobs() });
  t.deepEqual(problems, []);
  for (const entry of TREE) {
    const place = join(target, entry.path.toString());
    t.deepEqual(rawXattrs(place), raw(entry), place);
    t.is(statSync(place).mode & 0o7777, entry.mode, place);
  }
});

xattrTest('as root, a capability comes back, and to the owner whom it is for', async t => {
  if (!isRoot) return skip(t, 'only root can set capabilities');
  const target = join(temporaryFolder(t), 'target');
  const tool = fileOf('tool', 'x', {
    mode: 0o755,
    uid: 12_345,
    gid: 54_321,
    xattrs: xattrs({ [CAPABILITY]: CAP_NET_RAW }),
  });
  const { problems } = await restore({ target, list: placed([tool]), blobs: blobs() });
  t.deepEqual(problems, []);
  t.deepEqual(rawXattrs(join(target, 'tool')), raw(tool));
  t.is(statSync(join(target, 'tool')).uid, 12_345);
});

xattrTest('a name that no scan records is never set, and is named', async t => {
  const target = join(temporaryFolder(t), 'target');
  const hostile = [
    'security.ima',
    'security.selinux',
    'trusted.overlay.opaque',
    'trusted.\u001b[31m',
    'system.nfs4_acl',
  ];
  const entry = fileOf('file', 'x', {
    xattrs: xattrs({ ...Object.fromEntries(hostile.map(name => [name, 'y'])), 'user.a': 'x' }),
  });
  const { report, problems } = await restore({ target, list: placed([entry]), blobs: blobs() });
  t.deepEqual(rawXattrs(join(target, 'file')), { 'user.a': hex('x') });
  t.like(report, { files: 1, failed: 0, notSet: hostile.length });
  const told = problems.map(problem => problem.kind === 'not-set' && `${problem.what}: ${problem.because}`).sort();
  t.deepEqual(
    told,
    [...hostile]
      .map(name => name.replace('\u001b', '\\x1b'))
      .map(name => `attributes: ${name}: a restore does not set this attribute on this system`)
      .sort(),
  );
});

xattrTest('an attribute that cannot be set is told, and the others and the rest are as they were', async t => {
  const target = join(temporaryFolder(t), 'target');
  const list = placed([
    fileOf('file', 'x', { xattrs: xattrs({ [ACCESS]: 'no ACL at all', 'user.a': 'x' }) }),
    // Linux lets nobody set user attributes of symlinks.
    entryOf('link', { kind: 'symlink', target: Buffer.from('file'), xattrs: xattrs({ 'user.a': 'of the link' }) }),
  ]);
  const { report, problems } = await restore({ target, list, blobs: blobs() });
  t.like(report, { files: 1, symlinks: 1, failed: 0, notSet: 2 });
  t.deepEqual(
    problems.map(problem => [problem.path.toString(), problem.because]),
    [
      ['file', `${ACCESS}: EOPNOTSUPP`],
      ['link', 'user.a: EPERM'],
    ],
  );
  t.deepEqual(rawXattrs(join(target, 'file')), { 'user.a': hex('x') });
  t.is(statSync(join(target, 'file'), { bigint: true }).mtimeNs, entryOf('').mtimeNs);
});

xattrTest(
  '--overwrite leaves no attributes that the snapshot has not, and replaces files that differ in them alone',
  async t => {
    const folder = temporaryFolder(t);
    const same = fileOf('same', 'x', { xattrs: xattrs({ 'user.a': 'x' }) });
    const list = placed([
      entryOf('', { kind: 'directory' }),
      fileOf('changed', 'x', { xattrs: xattrs({ 'user.a': 'x' }) }),
      entryOf('folder', { kind: 'directory', xattrs: xattrs({ 'user.a': 'x' }) }),
      fileOf('more', 'x'),
      same,
    ]);
    const target = join(folder, 'target');
    await restore({ target, list, blobs: blobs() });
    setRawXattr(join(target, 'changed'), 'user.a', 'another');
    setRawXattr(join(target, 'more'), 'user.more', 'x');
    setRawXattr(join(target, 'folder'), 'user.more', 'x');
    if (isRoot) for (const path of ['same', 'folder']) setRawXattr(join(target, path), 'trusted.theirs', 'stays');

    const { report } = await restore({ target, list, blobs: blobs(), existing: 'overwrite' });
    t.like(report, { files: 2, kept: 1, notSet: 0 });
    const theirs = isRoot ? { 'trusted.theirs': hex('stays') } : {};
    t.deepEqual(rawXattrs(join(target, 'changed')), { 'user.a': hex('x') });
    t.deepEqual(rawXattrs(join(target, 'more')), {});
    t.deepEqual(rawXattrs(join(target, 'folder')), { 'user.a': hex('x'), ...theirs });
    t.deepEqual(rawXattrs(join(target, 'same')), { 'user.a': hex('x'), ...theirs });
  },
);

xattrTest('--verify finds attributes that are not as they were', async t => {
  const target = join(temporaryFolder(t), 'target');
  const entry = fileOf('a', 'x', { xattrs: xattrs({ 'user.a': 'x' }) });
  let isChanged = false;
  const { problems } = await restore({
    target,
    list: placed([entry]),
    blobs: blobs(),
    verify: true,
    onProgress: ({ phase, files }) => {
      if (phase !== 'write' || files !== 1 || isChanged) return;
      isChanged = true;
      setRawXattr(join(target, 'a'), 'user.late', 'x');
      lutimes(Buffer.from(join(target, 'a')), entry.mtimeNs);
    },
  });
  t.deepEqual(
    problems.map(problem => problem.because),
    ['read back: its attributes differ'],
  );
});

// Serial: for as long as it takes, this process has another effective user.
test.serial(
  'whoever is not root gets all but capabilities back, in files and folders that nobody may write to',
  async t => {
    const because = whyNoXattrs();
    if (because !== undefined) return skip(t, because);
    const folder = temporaryFolder(t);
    const tool = fileOf('tool', 'x', { xattrs: xattrs({ [CAPABILITY]: CAP_NET_RAW, 'user.a': 'x' }) });
    const owner = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
    const list = placed([...TREE, tool].map(entry => ({ ...entry, ...owner })));
    if (isRoot) {
      // Loaded while this process may still read the folder that koffi lies in, which need not be open to others.
      posix();
      chownSync(folder, NOBODY, NOBODY);
      process.setegid?.(NOBODY);
      process.seteuid?.(NOBODY);
    }
    let told: (string | false)[];
    try {
      const { problems } = await restore({ target: join(folder, 't'), list, blobs: blobs() });
      told = problems.map(
        problem => problem.kind === 'not-set' && `${problem.path}: ${problem.what}: ${problem.because}`,
      );
    } finally {
      if (isRoot) process.seteuid?.(0);
      if (isRoot) process.setegid?.(0);
    }
    t.deepEqual(told, [`tool: attributes: ${CAPABILITY}: ${isRoot ? 'EPERM' : 'only root may set it'}`]);
    t.deepEqual(rawXattrs(join(folder, 't/tool')), { 'user.a': hex('x') });
    for (const entry of TREE) {
      const place = join(folder, 't', entry.path.toString());
      t.deepEqual(rawXattrs(place), raw(entry), place);
      t.is(statSync(place).mode & 0o7777, entry.mode, place);
    }
  },
);

xattrTest('a restore by others leaves capabilities alone, and takes a file for right without them', t => {
  const path = join(temporaryFolder(t), 'file');
  writeFileSync(path, '');
  const entry = fileOf('file', '', { xattrs: xattrs({ [CAPABILITY]: CAP_NET_RAW, 'user.a': 'x' }) });
  t.deepEqual(setXattrs(Buffer.from(path), entry, { isRoot: false }), [`${CAPABILITY}: only root may set it`]);
  t.deepEqual(rawXattrs(path), { 'user.a': hex('x') });
  t.true(hasXattrsOf(Buffer.from(path), entry, { isRoot: false }));
  t.false(hasXattrsOf(Buffer.from(path), entry, { isRoot: true }));
});

test('without koffi all is restored but attributes, which is told of those that have some', async t => {
  const target = join(temporaryFolder(t), 'target');
  const script = fileURLToPath(new URL('./restore-without-koffi-run.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', WITHOUT_KOFFI, script, target], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { ...process.env, WITHOUT_KOFFI: 'yes' },
  });
  t.is(status, 0, stderr);
  const fault = 'the system calls for them could not be loaded (koffi did not load: a test took it away)';
  t.deepEqual(JSON.parse(stdout), { files: 2, kept: 0, failed: 0, told: [['with', fault]] });
  t.is(statSync(join(target, 'bare')).size, 1);
});
