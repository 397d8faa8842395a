/** Looks: what `cluster doctor` sees of real folders, before it decides what that means. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LATE, lookApart } from '../../src/cli/look.js';
import { lookAtSources, type SourceSeen } from '../../src/cli/source-checks.js';
import { lookAtStores, type StoreSeen } from '../../src/cli/store-checks.js';
import { parsePolicy } from '../../src/membership/parse-policy.js';
import type { SourceSetting } from '../../src/membership/policy.js';
import { MARKER_NAME } from '../../src/store/marker.js';
import { mountCasefold } from '../helpers/folding-disk.js';
import { skip } from '../helpers/skip.js';
import { mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const MB = 1_000_000;

function settingOf(path: string, exclude: readonly string[]): SourceSetting {
  const text = JSON.stringify({ cluster: 'home', hosts: { imac: { sources: { photos: { path, exclude } } } } });
  const setting = parsePolicy(text).policy.hosts.get('imac')?.sources[0];
  if (setting === undefined) throw new Error('the policy has no source');
  return setting;
}

async function seenOfSource(path: string, exclude: readonly string[] = []): Promise<SourceSeen> {
  const known = { setting: settingOf(path, exclude), newest: { kind: 'none' }, files: undefined } as const;
  const [source] = await lookAtSources([known]);
  if (source === undefined) throw new Error('nothing was seen');
  return source.seen;
}

async function seenOfStore(t: ExecutionContext, path: string, stateDir = temporaryFolder(t)): Promise<StoreSeen> {
  const setting = { path, name: undefined, lends: { kind: 'limit', bytes: MB }, draining: false } as const;
  const [store] = await lookAtStores([setting], { stateDir, userText: uid => `user ${uid}` });
  if (store === undefined) throw new Error('nothing was seen');
  return store.seen;
}

test('a source is seen to be there, empty, absent or no folder, over a symlink too', async t => {
  const folder = temporaryFolder(t);
  t.like(await seenOfSource(folder), { kind: 'seen', isEmpty: true });
  writeFileSync(join(folder, 'file'), 'x');
  t.like(await seenOfSource(folder), { kind: 'seen', isEmpty: false });
  t.deepEqual(await seenOfSource(join(folder, 'nothing')), { kind: 'absent' });
  t.deepEqual(await seenOfSource(join(folder, 'file')), { kind: 'no-folder' });
  symlinkSync(folder, `${folder}/link`);
  t.like(await seenOfSource(join(folder, 'link')), { kind: 'seen' });
});

test('other file systems below a source are seen, but for those that are excluded with a folder around them', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const folder = temporaryFolder(t);
  t.like(await seenOfSource(folder), { kind: 'seen', mounts: [] });
  for (const name of ['a disk', 'cache/disk', 'cached']) {
    mkdirSync(join(folder, name), { recursive: true });
    mountSmallDisk(t, join(folder, name), MB);
  }
  const seen = await seenOfSource(folder, ['/cache/']);
  t.like(seen, { kind: 'seen', mounts: [join(folder, 'a disk'), join(folder, 'cached')] });
});

test('a store is seen to be absent, without a marker, or around the state folder', async t => {
  const folder = temporaryFolder(t);
  t.deepEqual(await seenOfStore(t, join(folder, 'nothing')), { kind: 'absent' });
  const seen = await seenOfStore(t, folder);
  t.like(seen, { kind: 'seen', marker: { kind: 'absent' }, write: 'yes', contentOf: undefined, holdsState: false });
  mkdirSync(join(folder, '.blobs'));
  mkdirSync(join(folder, 'state'));
  t.like(await seenOfStore(t, folder, join(folder, 'state')), {
    kind: 'seen',
    holdsState: true,
    contentOf: `user ${process.getuid?.()}`,
  });
});

test('a store on a disk that is read-only is seen to be that, also by root', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const folder = temporaryFolder(t);
  mountSmallDisk(t, folder, MB);
  execFileSync('mount', ['-o', 'remount,ro', folder]);
  t.like(await seenOfStore(t, folder), { kind: 'seen', write: 'read-only' });
});

test('a store is seen to fold case where its file system does', async t => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, MARKER_NAME), 'x');
  t.like(await seenOfStore(t, folder), { kind: 'seen', foldsCase: process.platform === 'darwin' });
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  const made = mountCasefold(t, disk, join(temporaryFolder(t), 'image'));
  if ('why' in made) return skip(t, made.why);
  writeFileSync(join(made.path, MARKER_NAME), 'x');
  t.like(await seenOfStore(t, made.path), { kind: 'seen', foldsCase: true });
});

test('what is wrong with a folder is what was seen of it, and no error', async t => {
  const failing = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));
  t.deepEqual(await lookApart('/a', failing('ENOENT')), { kind: 'absent' });
  t.deepEqual(await lookApart('/a', failing('EACCES')), { kind: 'closed', because: 'EACCES' });
  t.deepEqual(await lookApart('/a', () => Promise.reject(new Error('odd'))), { kind: 'closed', because: 'odd' });
  t.deepEqual(await lookApart('/a', async () => ({ kind: LATE })), { kind: LATE });
});
