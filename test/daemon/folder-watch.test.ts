import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { unseen } from '../../src/catalog/forbidden-folder.js';
import { EVENTS_MAX, FolderWatch, type FolderWatchOptions } from '../../src/daemon/folder-watch.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';
import { isWatchedByKernel } from '../helpers/watched-by-kernel.js';

/** A watched folder, with `a/b` in it. */
async function aFolder(t: ExecutionContext, options: Partial<FolderWatchOptions> = {}) {
  const root = realpathSync(temporaryFolder(t));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const at = (...names: readonly string[]): string => join(root, 'src', ...names);
  mkdirSync(at('a', 'b'), { recursive: true });
  let changes = 0;
  const ended = new AbortController();
  const begin = async (more: Partial<FolderWatchOptions> = {}): Promise<FolderWatch> => {
    const watch = await FolderWatch.begin({
      path: at(),
      exclude: [],
      crossMounts: false,
      forbidden: [],
      onChange: () => {
        changes += 1;
      },
      signal: ended.signal,
      ...options,
      ...more,
    });
    t.teardown(() => watch.close());
    return watch;
  };
  /** Whether what is done is noticed. A change elsewhere, made after it, says when all before it has been told. */
  const notices = async (what: () => void): Promise<boolean> => {
    changes = 0;
    what();
    const before = await settle();
    return before > 0;
  };
  const mark = at('mark');
  writeFileSync(mark, '');
  const settle = async (): Promise<number> => {
    const told = changes;
    appendFileSync(mark, '.');
    await until('a change of a watched file is noticed', () => changes > told);
    // One of them is the mark's; who writes once is told of once.
    return changes - 1;
  };
  return { root, at, begin, notices, ended };
}

/** Whether it is told here what the kernel watches. */
function canTell(t: ExecutionContext, watched: string): boolean {
  if (isWatchedByKernel(watched)) return true;
  skip(t, 'this system does not say what is watched');
  return false;
}

test('what changes anywhere below the folder is noticed', async t => {
  const { at, begin, notices } = await aFolder(t);
  await begin();
  t.true(await notices(() => writeFileSync(at('a', 'b', 'new'), 'x')));
  t.true(await notices(() => appendFileSync(at('a', 'b', 'new'), 'x')));
  t.true(await notices(() => renameSync(at('a', 'b', 'new'), at('a', 'moved'))));
  t.true(await notices(() => rmSync(at('a', 'moved'))));
  t.false(await notices(() => undefined));
});

test('folders that are new or were moved are watched from the next catching up on', async t => {
  const { at, begin, notices } = await aFolder(t);
  const watch = await begin();
  t.true(await notices(() => mkdirSync(at('a', 'n1', 'n2', 'n3'), { recursive: true })));
  t.true(await watch.catchUp());
  t.true(await notices(() => writeFileSync(at('a', 'n1', 'n2', 'n3', 'file'), 'x')));

  t.true(await notices(() => renameSync(at('a', 'n1'), at('n1'))));
  t.true(await watch.catchUp());
  t.true(await notices(() => appendFileSync(at('n1', 'n2', 'n3', 'file'), 'x')));

  // Another one under the same name; after one of a few times it has its inode, too.
  for (let i = 0; i < 5; i += 1) {
    t.true(
      await notices(() => {
        rmSync(at('n1'), { recursive: true });
        mkdirSync(at('n1'));
      }),
    );
    t.true(await watch.catchUp());
    t.true(await notices(() => writeFileSync(at('n1', 'file'), 'x')));
  }
});

test('what is left out of the scan is not noticed: excluded, stores and state folders, what a link leads to', async t => {
  const { root, at, begin, notices } = await aFolder(t);
  mkdirSync(join(root, 'elsewhere'));
  symlinkSync(join(root, 'elsewhere'), at('link'));
  for (const name of ['cache', 'store', 'later']) mkdirSync(at('a', name, 'deep'), { recursive: true });
  const watch = await begin({
    exclude: ['cache/', '*.tmp'],
    forbidden: [at('a', 'store'), join(root, 'no such')].map(unseen),
  });
  t.false(await notices(() => writeFileSync(at('a', 'b', 'x.tmp'), 'x')));
  t.false(await notices(() => writeFileSync(at('a', 'cache', 'deep', 'x'), 'x')));
  t.false(await notices(() => writeFileSync(at('a', 'store', 'deep', 'x'), 'x')));
  t.false(await notices(() => writeFileSync(join(root, 'elsewhere', 'x'), 'x')));
  t.true(await notices(() => mkdirSync(at('cache', 'deep'), { recursive: true })), 'it may be a file of that name');
  t.true(await watch.catchUp());
  t.false(await notices(() => writeFileSync(at('cache', 'deep', 'x'), 'x')));
});

test('patterns that name what alone is wanted hide no new folder, and nothing else is noticed for them', async t => {
  const { at, begin, notices } = await aFolder(t);
  const watch = await begin({ exclude: ['*', '!*/', '!*.jpg', '!mark', '/cache/'] });
  t.true(await notices(() => mkdirSync(at('trip', 'day 1'), { recursive: true })));
  t.true(await watch.catchUp());
  t.true(await notices(() => writeFileSync(at('trip', 'day 1', 'a.jpg'), 'x')));
  t.true(await notices(() => chmodSync(at('trip'), 0o700)), 'a folder is recorded with its mode');
  t.true(await notices(() => writeFileSync(at('trip', 'a.txt'), 'x')), 'it may be a folder of that name');
  t.false(await notices(() => appendFileSync(at('trip', 'a.txt'), 'x')));
  t.false(await notices(() => mkdirSync(at('cache'))), 'it is excluded whatever it is');
});

test('the unfinished files of a restore into the folder are not noticed, those that have their names are', async t => {
  for (const recursive of [false, true]) {
    const { at, begin, notices } = await aFolder(t);
    const watch = await begin({ recursive });
    t.false(await notices(() => mkdirSync(at('a', '.scatterhoard-restore'))));
    t.true(await watch.catchUp());
    t.false(await notices(() => writeFileSync(at('a', '.scatterhoard-restore', 'part-1'), 'x')));
    t.true(await notices(() => renameSync(at('a', '.scatterhoard-restore', 'part-1'), at('a', 'file'))));
    watch.close();
  }
});

test('when another folder stands under the name, or none, it must begin anew', async t => {
  const { root, at, begin, notices } = await aFolder(t);
  const watch = await begin();
  t.true(await watch.catchUp());
  renameSync(at(), join(root, 'away'));
  t.false(await watch.catchUp());
  mkdirSync(at());
  t.false(await watch.catchUp());
  watch.close();
  writeFileSync(at('mark'), '');
  const again = await begin();
  t.true(await again.catchUp());
  t.true(await notices(() => writeFileSync(at('file'), 'x')));
});

test('what is watched no more costs the kernel nothing', async t => {
  const { root, at, begin, notices } = await aFolder(t);
  const watch = await begin();
  if (!canTell(t, at())) return;
  t.true([at('a'), at('a', 'b')].every(path => isWatchedByKernel(path)));
  t.true(await notices(() => renameSync(at('a', 'b'), join(root, 'b'))));
  await watch.catchUp();
  t.false(isWatchedByKernel(join(root, 'b')));
  watch.close();
  t.false([at(), at('a')].some(path => isWatchedByKernel(path)));
});

test('what is written to very fast is listened to only now and then, so that all else has its turn', async t => {
  const { at, begin, notices } = await aFolder(t);
  const watch = await begin();
  if (!canTell(t, at())) return;
  const descriptors = ['one', 'two'].map(name => openSync(at('a', 'b', name), 'w'));
  t.teardown(() => descriptors.forEach(closeSync));
  // By turns, or the kernel makes one change of several.
  const flood = (): void => {
    for (let i = 0; i < EVENTS_MAX; i += 1) for (const descriptor of descriptors) writeSync(descriptor, 'x', 0);
  };
  t.true(await notices(flood));
  await until('it is listened to no more', () => !isWatchedByKernel(at('a', 'b')));
  t.true(await notices(() => writeFileSync(at('a', 'other'), 'x')));
  await until('it is listened to again', () => isWatchedByKernel(at('a', 'b')));
  t.true(await notices(() => writeSync(descriptors[0] ?? 0, 'x')));

  t.true(await notices(flood));
  t.true(await watch.catchUp());
  t.true(isWatchedByKernel(at('a', 'b')), 'before a scan');
});

test('what is no folder, or is not there, is not watched', async t => {
  const { at, begin, ended } = await aFolder(t);
  await t.throwsAsync(begin({ path: at('none') }), { code: 'ENOENT' });
  await t.throwsAsync(begin({ path: at('mark') }), { code: 'ENOTDIR' });
  ended.abort(new Error('stop'));
  await t.throwsAsync(begin(), { message: 'stop' });
});

test('where the system watches whole trees, what is left out is not noticed either', async t => {
  const { at, begin, notices } = await aFolder(t);
  for (const name of ['cache', 'store']) mkdirSync(at('a', name), { recursive: true });
  const watch = await begin({ recursive: true, exclude: ['cache/'], forbidden: [unseen(at('a', 'store'))] });
  t.true(await notices(() => writeFileSync(at('a', 'b', 'x'), 'x')));
  t.false(await notices(() => writeFileSync(at('a', 'cache', 'x'), 'x')));
  t.false(await notices(() => writeFileSync(at('a', 'store', 'x'), 'x')));
  t.true(await watch.catchUp());
});
