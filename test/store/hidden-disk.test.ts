/** Hidden disks: what a store makes of a folder that lies at its path and is not the one that was opened. */
import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parseNonce, parseObjectId } from '../../src/core/ids.js';
import type { Store } from '../../src/store/store.js';
import { grab, parcelOf, receive } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const ASK = { nonce: parseNonce('0e'.repeat(16)), holders: [] };
const PARCELS = [parcelOf('a1', 'shared'), parcelOf('b1', 'shared')];

/** What lies at the path then: nothing, an empty folder, or one that has all but the bytes. */
const PLACES = {
  nothing: async () => undefined,
  'an empty folder': async host => void (await mkdir(host.storePath)),
  'a folder with the same marker and records': async host => {
    const isKept = (path: string) => !/\/[0-9a-f]{64}$/.test(path) || path.includes('/.catalog/');
    await cp(awayOf(host), host.storePath, { recursive: true, filter: isKept });
  },
} satisfies Record<string, (host: TestHost) => Promise<void>>;

const awayOf = (host: TestHost): string => `${host.storePath}.away`;

async function begin(t: ExecutionContext, place: (host: TestHost) => Promise<void>) {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  for (const parcel of PARCELS) await grab(store, parcel);
  const hide = async () => {
    await rename(host.storePath, awayOf(host));
    await place(host);
  };
  const comeBack = (): Promise<Store> =>
    host.restart(async () => {
      await rm(host.storePath, { recursive: true, force: true });
      await rename(awayOf(host), host.storePath);
    });
  return { host, store, hide, comeBack };
}

for (const [name, place] of Object.entries(PLACES)) {
  test(`no copy of a hidden disk is corrupt, whoever reads it: ${name} lies in its place`, async t => {
    const { store, hide, comeBack } = await begin(t, place);
    t.is(await store.whyGone(), undefined);
    await hide();
    t.not(await store.whyGone(), undefined);
    const position = store.position();
    for (const { id } of PARCELS) await t.throwsAsync(store.possess(id, ASK), { code: 'STORE_MISSING' });
    t.deepEqual(store.position(), position);
    const again = await comeBack();
    for (const { id } of PARCELS) t.is((await again.possess(id, ASK)).kind, 'whole');
    t.is(again.position().seq, PARCELS.length);
  });
}

test('nothing that came while a disk is hidden counts there', async t => {
  const { host, store, hide, comeBack } = await begin(t, PLACES['a folder with the same marker and records']);
  await hide();
  const late = parcelOf('late');
  for (const blob of late.blobs) await receive(store, blob);
  await t.throwsAsync(store.commit(late.id, late.record), { code: 'STORE_MISSING' });
  t.false(store.isPresent(late.id));
  t.is((await readdir(join(awayOf(host), '.incoming'))).length, 0);
  const again = await comeBack();
  t.deepEqual(new Set(again.present()), new Set(PARCELS.map(({ id }) => id)));
  t.is(again.position().seq, PARCELS.length);
});

/** Every path below the folder that lies in the store's place, with its content. */
async function inPlace(host: TestHost): Promise<Record<string, string>> {
  const entries = await readdir(host.storePath, { recursive: true, withFileTypes: true });
  const paths = entries.map(entry => ({ path: join(entry.parentPath, entry.name), isFile: entry.isFile() }));
  const contents = paths.map(async ({ path, isFile }) => [path, isFile ? await readFile(path, 'latin1') : ''] as const);
  return Object.fromEntries(await Promise.all(contents));
}

const TREE = { originName: 'imac', source: 'photos' };
const SNAPSHOT = parseObjectId('5a'.repeat(32));

for (const when of ['before it is begun', 'before it takes the place of the log'] as const)
  test(`no checkpoint is written to what lies in the place of a hidden disk: hidden ${when}`, async t => {
    const { host, store, hide } = await begin(t, PLACES['a folder with the same marker and records']);
    if (when === 'before it is begun') await hide();
    let before = when === 'before it is begun' ? await inPlace(host) : {};
    const lastReading = async (): Promise<void> => {
      if (when === 'before it is begun') return;
      await hide();
      before = await inPlace(host);
    };
    await t.throwsAsync(store.makeCheckpoint(lastReading), { code: 'STORE_MISSING' });
    const butDraft = (found: Record<string, string>) =>
      Object.entries(found).filter(([path]) => !path.endsWith('.new'));
    t.deepEqual(butDraft(await inPlace(host)), butDraft(before));
  });

test('no tree is written or removed where a hidden disk was', async t => {
  const { host, store, hide } = await begin(t, PLACES['an empty folder']);
  await hide();
  async function* files() {}
  const missing = { code: 'STORE_MISSING' };
  await t.throwsAsync(store.updateTree({ ...TREE, snapshot: SNAPSHOT, files: files() }), missing);
  await t.throwsAsync(store.removeTree(TREE), missing);
  t.deepEqual(await inPlace(host), {});
});

test('the marker that lies where a hidden disk was stays as it is when a rescan ends', async t => {
  const { host, hide } = await begin(t, PLACES['a folder with the same marker and records']);
  const store = await host.restart(undefined, { doubt: { because: 'a test', counterSeen: 2_000_000_000_000 } });
  let before = {};
  const rescan = async (): Promise<void> => {
    let left = PARCELS.length;
    for await (const _ of store.rescan()) {
      left -= 1;
      if (left > 0) continue;
      await hide();
      before = await inPlace(host);
    }
  };
  await t.throwsAsync(rescan(), { code: 'STORE_MISSING' });
  t.true(store.rescanDue);
  t.deepEqual(await inPlace(host), before);
});
