import { link, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Trash } from '../../src/store/trash.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

async function begin(t: ExecutionContext, options: { filesMax?: number } = {}) {
  const folder = temporaryFolder(t);
  const path = join(folder, 'trash');
  await mkdir(path);
  const clock = { wallMs: 1_700_000_000_000, steadyMs: 0 };
  const pass = (ms: number) => {
    clock.wallMs += ms;
    clock.steadyMs += ms;
  };
  const clocks = { wallMs: () => clock.wallMs, steadyMs: () => clock.steadyMs };
  const open = () => Trash.open(path, clocks, options);
  const put = async (trash: Trash, name: string, content: string) => {
    await writeFile(join(folder, name), content);
    await trash.put(join(folder, name), name);
  };
  return { folder, path, clock, pass, open, put, trash: await open() };
}

const nobody = async () => {};
const [RARE, OTHER] = ['ab'.repeat(32), 'cd'.repeat(32)];

test('what was set aside outlives its time while it is spared, through a restart too', async t => {
  const { trash: first, folder, pass, open, path } = await begin(t);
  for (const blob of [RARE, OTHER]) {
    await writeFile(join(folder, blob), 'wrong');
    await first.setAside(join(folder, blob), blob);
  }
  const trash = await open();
  let looks = 0;
  const sparing = async () => {
    looks += 1;
    return (blob: string) => blob === RARE;
  };
  pass(999);
  t.is(await trash.empty({ olderThanMs: 1_000, sparing }, nobody), 0);
  t.is(looks, 0);
  pass(1);
  t.is(await trash.empty({ olderThanMs: 1_000, sparing }, nobody), 5);
  t.is((await readdir(path)).join().slice(0, 64), RARE);
  t.is(await trash.empty({ olderThanMs: 1_000 }, nobody), 5);
  t.is(trash.bytes, 0);
});

test('when room is needed what was set aside goes after all else', async t => {
  const { trash, put, folder, path } = await begin(t);
  await writeFile(join(folder, RARE), 'wrong');
  await trash.setAside(join(folder, RARE), RARE);
  await put(trash, OTHER, 'right');
  t.is(await trash.empty({ freeBytes: 5 }, nobody), 5);
  t.is((await readdir(path)).join().slice(0, 64), RARE);
  t.is(await trash.empty({ freeBytes: 5 }, nobody), 5);
});

test('with more files than it may keep in memory the oldest go, however young', async t => {
  const { trash, put, path } = await begin(t, { filesMax: 2 });
  for (const name of ['a', 'b']) await put(trash, name, name);
  t.is(await trash.empty({ olderThanMs: 1 }, nobody), 0);
  await put(trash, 'c', 'c');
  t.is(await trash.empty({ olderThanMs: 1 }, nobody), 1);
  t.deepEqual((await readdir(path)).sort(), ['b', 'c']);
});

test('the later of two files of one name stays, and counts once', async t => {
  const { trash, put, pass } = await begin(t);
  await put(trash, 'a', 'first');
  pass(1_000);
  await put(trash, 'a', 'second one');
  t.is(trash.bytes, 10);
  t.is(await trash.empty({ olderThanMs: 1 }, nobody), 0);
});

for (const jumpMs of [3 * 86_400_000, -3 * 86_400_000]) {
  const which = jumpMs > 0 ? 'forward' : 'back';
  test(`a file lies here for its time, though the wall clock is set ${which} after it came`, async t => {
    const { trash, put, path, clock, pass, open } = await begin(t);
    await put(trash, 'a', 'a');
    pass(1_000);
    const again = await open();
    await put(again, 'b', 'b');
    clock.wallMs += jumpMs;
    t.is(await again.empty({ olderThanMs: 1_001 }, nobody), 0);
    pass(1);
    t.is(await again.empty({ olderThanMs: 1_001 }, nobody), 1);
    t.deepEqual(await readdir(path), ['b']);
    pass(999);
    t.is(await again.empty({ olderThanMs: 1_001 }, nobody), 0);
    pass(1);
    t.is(await again.empty({ olderThanMs: 1_001 }, nobody), 1);
  });
}

test('what came by a clock that is ahead of the one at the opening begins its time there', async t => {
  const { trash, put, clock, pass, open } = await begin(t);
  await put(trash, 'a', 'a');
  clock.wallMs -= 86_400_000;
  const again = await open();
  pass(999);
  t.is(await again.empty({ olderThanMs: 1_000 }, nobody), 0);
  pass(1);
  t.is(await again.empty({ olderThanMs: 1_000 }, nobody), 1);
});

test('bytes that have a name elsewhere free nothing, are asked out of the trees first, and the next ones go instead', async t => {
  const { trash, put, folder, path } = await begin(t);
  await put(trash, 'a', '12345');
  await put(trash, 'b', '123');
  await link(join(path, 'a'), join(folder, 'mine'));
  const asked: number[] = [];
  const freed = await trash.empty({ freeBytes: 1 }, async inodes => {
    asked.push(inodes.size);
    t.is((await readdir(path)).length, 2);
  });
  t.is(freed, 3);
  t.deepEqual(asked, [1]);
  t.is(trash.bytes, 0);
});

test('what is no plain file is neither counted nor removed', async t => {
  const { open, path, folder } = await begin(t);
  await writeFile(join(folder, 'outside'), 'outside');
  await symlink(join(folder, 'outside'), join(path, 'a'));
  await mkdir(join(path, 'b'));
  const trash = await open();
  t.is(trash.bytes, 0);
  t.false(trash.has('a'));
  t.is(await trash.empty({ olderThanMs: 0 }, nobody), 0);
  await t.throwsAsync(trash.put(join(path, 'a'), 'a'), { code: 'STORE_TAMPERED' });
  t.is((await readdir(path)).length, 2);
});

test('a file that somebody took out of the trash is not there, and nothing stops at it', async t => {
  const { trash, put, path, folder } = await begin(t);
  for (const name of ['a', 'b', 'c']) await put(trash, name, name);
  await rm(join(path, 'a'));
  await rm(join(path, 'b'));
  t.is(await trash.takeBack('a', join(folder, 'back')), undefined);
  t.is(await trash.put(join(folder, 'never was'), 'd'), undefined);
  t.is(await trash.empty({ olderThanMs: 0 }, nobody), 1);
  t.is(trash.bytes, 0);
});
