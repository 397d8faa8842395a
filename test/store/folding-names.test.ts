/** In a process of its own, for the calls of all of it are played. */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import calls from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import test from 'ava';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { updateAll } from './tree-on-folding.js';

/** Names below it that differ by case are one, as it was made first. */
const FOLDING = 'folding';
/** And below this one inside it there are no hard links, as on FAT. */
const LINKLESS = 'linkless';

/** The path that is there. */
function settled(path: unknown): unknown {
  const text = String(path);
  const begin = text.indexOf(`/${FOLDING}/`);
  if (begin < 0 || !(typeof path === 'string' || Buffer.isBuffer(path))) return path;
  let place = text.slice(0, begin + FOLDING.length + 1);
  for (const name of text.slice(place.length + 1).split('/')) {
    const names = existsSync(place) ? readdirSync(place) : [];
    place = join(place, names.find(one => one.toLowerCase() === name.toLowerCase()) ?? name);
  }
  return Buffer.isBuffer(path) ? Buffer.from(place) : place;
}

for (const name of ['link', 'lstat', 'mkdir', 'open', 'readdir', 'rename', 'rm', 'rmdir', 'unlink'] as const) {
  const real = calls[name] as (...given: unknown[]) => Promise<unknown>;
  Object.assign(calls, { [name]: (...given: unknown[]) => real(...given.map(settled)) });
}
const realLink = calls.link;
Object.assign(calls, {
  link: async (from: string, to: string) => {
    if (String(to).includes(`/${FOLDING}/${LINKLESS}/`)) throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
    await realLink(from, to);
  },
});
syncBuiltinESMExports();

test('where names that differ by case are one, a tree has those of the snapshot that it shows', async t => {
  const root = join(temporaryFolder(t), FOLDING);
  mkdirSync(root);
  await calls.mkdir(join(root, 'Probe'));
  t.true((await calls.lstat(join(root, 'pROBE'))).isDirectory());
  await calls.rmdir(join(root, 'probe'));
  await updateAll(t, root, { hasLinks: true });
});

test('… also where it has no hard links, and so has the folders and what is empty alone', async t => {
  const root = join(temporaryFolder(t), FOLDING, LINKLESS);
  mkdirSync(root, { recursive: true });
  await updateAll(t, root, { hasLinks: false });
});
