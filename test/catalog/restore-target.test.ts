/** Whose a restore's target is while it is filled, and that nobody leads what is written there elsewhere. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import type { ContentFrame, ContentRequest } from '../../src/catalog/restore-content.js';
import { MARK_FOLDER } from '../../src/catalog/restore-names.js';
import { unfinishedIn } from '../../src/catalog/restore-target.js';
import { exitCodeFor } from '../../src/cli/exit-codes.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, entryOf, fileOf, interruptedRestore, placed, restore } from './restore-fixture.js';
import { failWith, namedPath, standIn } from './stand-in.js';

/** An account without rights, whatever its number means here. */
const NOBODY = 65_534;
const IS_ROOT = process.getuid?.() === 0;
const IS_LINUX = process.platform === 'linux';

const folderOf = (path: string, changes = {}) => entryOf(path, { kind: 'directory', ...changes });

/** Content that stops in the middle of its last file until it may go on. */
function halting(blobs: Blobs, last: string) {
  const { promise: halted, resolve: halt } = withResolvers();
  const { promise: released, resolve: goOn } = withResolvers();
  const content = async function* (request: ContentRequest, signal: AbortSignal): AsyncIterable<ContentFrame> {
    for await (const frame of blobs.frames(request, signal)) {
      if (frame.kind !== 'data' || Buffer.from(frame.data).toString() !== last) {
        yield frame;
        continue;
      }
      yield { kind: 'data', data: frame.data.subarray(0, 1) };
      halt(undefined);
      await released;
      yield { kind: 'data', data: frame.data.subarray(1) };
    }
  };
  return { content, halted, goOn: () => goOn(undefined) };
}

const TWO = placed([folderOf(''), fileOf('contract', 'C'.repeat(1000)), fileOf('last', 'LAST')]);
const twoBlobs = () => new Blobs().add('C'.repeat(1000)).add('LAST');

async function refusesTheSecond(t: ExecutionContext): Promise<void> {
  const target = join(temporaryFolder(t), 'target');
  const blobs = twoBlobs();
  const { content, halted, goOn } = halting(blobs, 'LAST');
  const first = restore({ target, list: TWO, blobs, content });
  await halted;
  const unfinished = readdirSync(join(target, MARK_FOLDER));
  const refused = await t.throwsAsync(restore({ target, list: TWO, blobs: twoBlobs(), existing: 'overwrite' }), {
    code: 'TARGET_IN_USE',
    message: new RegExp(`process ${process.pid}.*run the command again`),
  });
  t.is(exitCodeFor(refused), 2);
  t.deepEqual(readdirSync(join(target, MARK_FOLDER)), unfinished);
  goOn();
  t.like((await first).report, { files: 2, failed: 0 });
  t.deepEqual(readdirSync(target).sort(), ['contract', 'last']);
}

test('a second restore into a target is refused while the first is at work', refusesTheSecond);

test.serial('the same where the file system has no hard links', async t => {
  standIn(t, 'linkSync', () => () => failWith('EPERM'));
  await refusesTheSecond(t);
});

test('two runs never write one unfinished file, even when the lock was taken away', async t => {
  const target = join(temporaryFolder(t), 'target');
  const [a, b] = [twoBlobs(), twoBlobs().add('M'.repeat(1000))];
  const first = halting(a, 'LAST');
  const running = restore({ target, list: TWO, blobs: a, content: first.content });
  await first.halted;
  rmSync(join(target, MARK_FOLDER, 'lock'));
  const other = placed([folderOf(''), fileOf('movie', 'M'.repeat(1000)), fileOf('other last', 'LAST')]);
  const second = halting(b, 'LAST');
  const mark = { snapshot: 'ef'.repeat(32), sourceId: `${'cd'.repeat(16)}/movies`, under: Buffer.alloc(0) };
  const beside = restore({ target, list: other, blobs: b, content: second.content, existing: 'keep', mark });
  await second.halted;
  // Either may fail, for what it had begun may be gone.
  first.goOn();
  await Promise.allSettled([running]);
  second.goOn();
  await Promise.allSettled([beside]);
  const contract = join(target, 'contract');
  const found = existsSync(contract) ? readFileSync(contract, 'utf8') : undefined;
  t.true(found === undefined || found === 'C'.repeat(1000), `under its name lies ${found?.slice(0, 8)}`);
});

test('the lock of a process that is gone keeps nobody out', async t => {
  const target = join(temporaryFolder(t), 'target');
  await restore({ target, list: TWO, blobs: new Blobs().add('LAST') });
  writeFileSync(join(target, MARK_FOLDER, 'lock'), JSON.stringify({ pid: 999_999_999, started: '1', boot: 'other' }));
  t.like((await restore({ target, list: TWO, blobs: twoBlobs() })).report, { files: 1, kept: 1, resumable: false });
  t.deepEqual(readdirSync(target).sort(), ['contract', 'last']);
});

test('what is left of a mark that was being written is removed, at the latest with the mark', async t => {
  const target = temporaryFolder(t);
  mkdirSync(join(target, MARK_FOLDER), { mode: 0o700 });
  const leave = (hex: string): void => writeFileSync(join(target, MARK_FOLDER, `mark.new-${hex}`), '{');
  leave('0123456789ab');
  const blobs = twoBlobs();
  const { content, halted, goOn } = halting(blobs, 'LAST');
  const restoring = restore({ target, list: TWO, blobs, content });
  await halted;
  t.deepEqual(
    readdirSync(join(target, MARK_FOLDER)).filter(name => name.startsWith('mark')),
    ['mark'],
  );
  leave('ba9876543210');
  goOn();
  await restoring;
  t.deepEqual(readdirSync(target).sort(), ['contract', 'last']);
});

test.serial(
  'the target has its owner and mode before the mark goes, which is the last thing to go, and its time behind',
  async t => {
    const target = temporaryFolder(t);
    const given = IS_ROOT ? { uid: NOBODY, gid: NOBODY } : {};
    const seen: unknown[] = [];
    standIn(t, 'unlinkSync', real => path => {
      if (namedPath(path) === join(target, MARK_FOLDER, 'mark')) {
        const { uid, mode } = statSync(target);
        seen.push([uid, mode & 0o7777, readdirSync(join(target, MARK_FOLDER)).sort()]);
      }
      real(path);
    });
    // In whatever order the file system lists them.
    standIn(t, 'readdirSync', real => (...given) => {
      const names: unknown[] = real(...given);
      return names.includes('mark') ? ['mark', ...names.filter(name => name !== 'mark')] : names;
    });
    const root = folderOf('', { ...given, mode: 0o751 });
    const { problems } = await restore({
      target,
      list: [...placed([root]), ...TWO.slice(1)],
      blobs: twoBlobs(),
      verify: true,
    });
    t.deepEqual(problems, []);
    t.deepEqual(seen, [[root.uid, 0o751, ['lock', 'mark']]]);
    t.is(statSync(target, { bigint: true }).mtimeNs, root.mtimeNs);
  },
);

test.serial('a target that is closed to its owner in the end is open to them until the mark is gone', async t => {
  const target = temporaryFolder(t);
  let opened: unknown;
  standIn(t, 'rmdirSync', real => path => {
    if (namedPath(path) === join(target, MARK_FOLDER)) opened = statSync(target).mode & 0o7777;
    real(path);
  });
  const root = folderOf('', { mode: 0o1050, uid: process.getuid?.() ?? 0 });
  const { problems } = await restore({ target, list: [...placed([root]), ...TWO.slice(1)], blobs: twoBlobs() });
  t.deepEqual(problems, []);
  t.is(opened, 0o1750);
  t.is(statSync(target).mode & 0o7777, 0o1050);
  t.is(statSync(target, { bigint: true }).mtimeNs, root.mtimeNs);
  t.deepEqual(readdirSync(target).sort(), ['contract', 'last']);
});

test('a target that can be no folder is refused in words, before anything is asked for', async t => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('/nowhere/at/all', join(folder, 'dangling'));
  symlinkSync('circle', join(folder, 'circle'));
  mkdirSync(join(folder, 'marked'));
  writeFileSync(join(folder, 'marked', MARK_FOLDER), '');
  for (const name of ['file/sub', 'dangling', 'dangling/sub', 'circle', 'marked']) {
    const target = join(folder, name);
    const error = await t.throwsAsync(
      restore({ target, list: TWO, blobs: twoBlobs() }),
      { code: 'TARGET_NOT_FOLDER' },
      name,
    );
    t.is(exitCodeFor(error), 2, name);
  }
  t.throws(() => unfinishedIn(join(folder, 'file/sub')), { code: 'TARGET_NOT_FOLDER' });
});

if (IS_ROOT) {
  for (const [what, spoil] of [
    ['belongs to another user', (mark: string) => chownSync(mark, NOBODY, NOBODY)],
    ['is open to others', (mark: string) => chmodSync(mark, 0o755)],
  ] as const) {
    test(`a mark folder that ${what} is refused, and nothing is written into it`, async t => {
      const target = temporaryFolder(t);
      mkdirSync(join(target, MARK_FOLDER), { mode: 0o700 });
      spoil(join(target, MARK_FOLDER));
      await t.throwsAsync(restore({ target, list: TWO, blobs: twoBlobs() }), {
        code: 'TARGET_NOT_FOLDER',
        message: /belongs to another user, or is open to other users; remove it/,
      });
      t.deepEqual(readdirSync(join(target, MARK_FOLDER)), []);
    });
  }

  const rightsOf = (path: string) => [statSync(path).uid, statSync(path).mode & 0o7777];

  test('an empty folder of somebody else is closed to them while root fills it, and is theirs in the end', async t => {
    const target = temporaryFolder(t);
    chownSync(target, NOBODY, NOBODY);
    chmodSync(target, 0o777);
    const blobs = twoBlobs();
    const seen: unknown[] = [];
    const content = (request: ContentRequest, signal: AbortSignal) => {
      seen.push(rightsOf(target));
      return blobs.frames(request, signal);
    };
    const list = placed([
      folderOf('', { uid: NOBODY, gid: NOBODY, mode: 0o750 }),
      ...TWO.slice(1).map(one => one.entry),
    ]);
    await restore({ target, list, blobs, content });
    t.deepEqual(seen, [[0, 0o700]]);
    t.deepEqual(rightsOf(target), [NOBODY, 0o750]);
  });

  test('who is refused because a restore is at work leaves its folder closed', async t => {
    const target = temporaryFolder(t);
    chownSync(target, NOBODY, NOBODY);
    const blobs = twoBlobs();
    const { content, halted, goOn } = halting(blobs, 'LAST');
    const list = TWO.slice(1);
    const first = restore({ target, list, blobs, content });
    await halted;
    await t.throwsAsync(restore({ target, list, blobs: twoBlobs() }), { code: 'TARGET_IN_USE' });
    t.deepEqual(rightsOf(target), [0, 0o700]);
    goOn();
    await first;
    t.is(statSync(target).uid, NOBODY);
  });

  test('a folder that the restore has nothing to give to gets back what it had, also when the restore fails', async t => {
    const target = temporaryFolder(t);
    chownSync(target, NOBODY, NOBODY);
    chmodSync(target, 0o775);
    const list = placed([fileOf('contract', 'C'.repeat(1000))]);
    const mark = { snapshot: 's', sourceId: 'i', under: Buffer.from('contract') };
    const request = { target, list, blobs: twoBlobs(), mark };
    await t.throwsAsync(interruptedRestore(request, { afterBytes: 1 }), { message: 'interrupted' });
    t.deepEqual(rightsOf(target), [NOBODY, 0o775]);
    await restore(request);
    t.deepEqual(rightsOf(target), [NOBODY, 0o775]);
    t.deepEqual(readdirSync(target), ['contract']);
  });
}

test('who is not root gets the group of what was theirs back, if it is one of theirs; all else is told', t => {
  if (!IS_ROOT) return skip(t, 'only root can become somebody in other groups');
  const target = temporaryFolder(t);
  chownSync(target, NOBODY, NOBODY);
  const program = fileURLToPath(new URL('./restore-group-run.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, target, String(NOBODY)], {
    encoding: 'utf8',
  });
  // The program's own files may lie where only root reads.
  if (/EACCES|ERR_MODULE_NOT_FOUND/.test(stderr)) return skip(t, 'others may not read this folder');
  t.is(status, 0, stderr);
  const { report, rehearsed, begun, told, groups, modes, pairs } = JSON.parse(stdout);
  t.deepEqual(groups, [NOBODY, 100, 100, 100, NOBODY]);
  t.deepEqual(modes, [0o2660, 0o2770]);
  const unset = [
    ['foreign', 'owner'],
    ['theirs', 'owner'],
  ];
  t.deepEqual(rehearsed, unset, 'a dry run knows it before');
  t.deepEqual(begun.sort(), [unset[0], ['late', 'failed'], unset[1]]);
  t.deepEqual(told, unset, 'also by the run that goes on');
  t.like(report, { failed: 0, notSet: 2, verified: 6 });
  for (const [before, after] of pairs) {
    t.true(before[0] > 0);
    t.deepEqual(before, after, 'and so it does when everything is there already, and of the target itself');
  }
});

/** Somebody who may write into the target moves a folder away, and puts a symlink in its place, right before a call. */
function swapBefore(t: ExecutionContext, name: 'chmodSync' | 'mkdirSync' | 'renameSync' | 'symlinkSync', at: string) {
  const folder = temporaryFolder(t);
  const [target, victim] = [join(folder, 'target'), join(folder, 'victim')];
  for (const path of [target, join(target, 'photos'), victim]) mkdirSync(path, { mode: 0o755 });
  const [swapped, rename] = [join(target, 'photos'), renameSync];
  let isSwapped = false;
  standIn(t, name, real => (...given: unknown[]) => {
    if (!isSwapped && given.some(path => Buffer.isBuffer(path) && namedPath(path) === join(target, at))) {
      isSwapped = true;
      rename(swapped, join(target, 'away'));
      symlinkSync(victim, swapped);
    }
    return (real as (...given: unknown[]) => unknown)(...given);
  });
  return { target, victim, isSwapped: () => isSwapped };
}

if (IS_LINUX) {
  for (const [name, at, entry] of [
    ['renameSync', 'photos/file', fileOf('photos/file', 'evil')],
    ['mkdirSync', 'photos/folder', folderOf('photos/folder')],
    ['chmodSync', 'photos', undefined],
  ] as const) {
    test.serial(`a folder that becomes a symlink right before ${name} leads nothing elsewhere`, async t => {
      const { target, victim, isSwapped } = swapBefore(t, name, at);
      if (name === 'chmodSync') chmodSync(join(target, 'photos'), 0o500);
      const before = statSync(victim);
      const list = placed([folderOf(''), folderOf('photos', { mode: 0o777 }), ...(entry ? [entry] : [])]);
      await restore({ target, list, blobs: new Blobs().add('evil'), existing: 'keep' });
      t.true(isSwapped());
      t.deepEqual(readdirSync(victim), []);
      t.is(statSync(victim).ctimeMs, before.ctimeMs);
    });
  }
}

/** As on a system where no folder can be reached by its descriptor. */
const withoutProc = (t: ExecutionContext): void =>
  standIn(t, 'existsSync', real => path => path !== '/proc/self/fd' && real(path));

test.serial('without /proc a restore works the same', async t => {
  withoutProc(t);
  const target = join(temporaryFolder(t), 'target');
  const list = placed([
    folderOf(''),
    folderOf('d', { mode: 0o750 }),
    fileOf('d/file', 'LAST'),
    entryOf('d/link', { kind: 'symlink', target: Buffer.from('file') }),
    fileOf('lost', 'lost'),
  ]);
  const first = await restore({ target, list, blobs: new Blobs().add('LAST'), verify: true });
  t.like(first.report, { files: 1, folders: 1, symlinks: 1, failed: 1, verified: 3 });
  const { report } = await restore({ target, list, blobs: new Blobs().add('lost') });
  t.like(report, { files: 1, kept: 2, failed: 0, resumable: false });
  t.is(statSync(join(target, 'd')).mode & 0o777, 0o750);
});

test.serial('without /proc root restores to no folder that others could lead elsewhere', async t => {
  if (!IS_ROOT) return skip(t, 'only root is refused');
  withoutProc(t);
  const theirs = temporaryFolder(t);
  chownSync(theirs, NOBODY, NOBODY);
  const refused = await t.throwsAsync(restore({ target: join(theirs, 'target'), list: TWO, blobs: twoBlobs() }), {
    code: 'TARGET_OPEN_TO_OTHERS',
  });
  t.is(exitCodeFor(refused), 2);
  t.deepEqual(readdirSync(theirs), []);
  writeFileSync(join(theirs, 'theirs'), '');
  chmodSync(theirs, 0o700);
  await t.throwsAsync(
    restore({ target: theirs, list: TWO, blobs: twoBlobs(), existing: 'keep' }),
    { code: 'TARGET_OPEN_TO_OTHERS' },
    'shared',
  );
});

test.serial('without /proc root writes into no folder below the target that others may write', async t => {
  if (!IS_ROOT) return skip(t, 'only root is refused');
  withoutProc(t);
  const target = temporaryFolder(t);
  mkdirSync(join(target, 'theirs'));
  chownSync(join(target, 'theirs'), NOBODY, NOBODY);
  const list = placed([folderOf(''), fileOf('a', 'LAST'), folderOf('theirs'), fileOf('theirs/a', 'LAST')]);
  const { report, problems } = await restore({ target, list, blobs: twoBlobs(), existing: 'keep' });
  t.is(report.files, 1);
  t.true(problems.every(({ because }) => /other users may write/.test(because)));
  t.deepEqual(readdirSync(join(target, 'theirs')), []);
});

test.serial('without /proc root goes on with folders that it has given away', async t => {
  if (!IS_ROOT) return skip(t, 'only root gives folders away');
  withoutProc(t);
  const target = join(temporaryFolder(t), 'target');
  const own = { uid: NOBODY, gid: NOBODY };
  const list = placed([folderOf('', own), folderOf('d', own), fileOf('d/a', 'LAST'), fileOf('d/b', 'lost')]);
  await restore({ target, list, blobs: new Blobs().add('LAST') });
  t.is(statSync(join(target, 'd')).uid, NOBODY);
  const { report } = await restore({ target, list, blobs: new Blobs().add('lost') });
  t.like(report, { files: 1, kept: 1, failed: 0 });
  t.is(statSync(join(target, 'd')).uid, NOBODY);
});

function withResolvers() {
  let resolve: (value: unknown) => void = () => {};
  const promise = new Promise(done => {
    resolve = done;
  });
  return { promise, resolve };
}
