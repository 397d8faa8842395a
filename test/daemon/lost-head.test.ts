/** What the catalog has of the head of a source of ours is lost, and our own history has it: no run takes that for a first one. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { decodeHead, encodeHead, headHash } from '../../src/catalog/head.js';
import { readSnapshot } from '../../src/catalog/read-object.js';
import type { ObjectId } from '../../src/core/ids.js';
import { MendingObjects } from '../../src/daemon/object-finder.js';
import { OwnHeads } from '../../src/daemon/own-heads.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';
import { anOrigin } from './an-origin.js';

const retainer = { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never;
const hooks = { run: async () => undefined } as never;

/** A source with one snapshot that is listed, whose disk is not mounted any more; its origin has ended. */
async function anUnmountedSource(t: ExecutionContext) {
  const source = new ScratchSource(t);
  source.write({ 'one.txt': 'one', 'two.txt': 'two' });
  await source.take({ nowMs: anyTimeMs - 1 });
  const { origin, list } = await anOrigin(t, source, { retainer, hooks });
  await list();
  await origin.stop();
  for (const name of readdirSync(source.root)) rmSync(source.path(name));
  const [name = ''] = readdirSync(join(source.folder, 'heads')).filter(file => file.endsWith('.head'));
  /** What other hosts have. */
  const peer = new Map<ObjectId, Uint8Array>();
  let asked = 0;
  const askEverybody = async (): Promise<void> => {
    asked += 1;
  };
  const start = async () => {
    const objects = new MendingObjects({ own: source.objects, finder: { get: async id => peer.get(id) } });
    const made = await anOrigin(t, source, { retainer, hooks, objects, askEverybody });
    await made.catalog.open();
    return { ...made, objects, backUp: () => made.origin.backup(aSource, { acceptChanges: false }) };
  };
  return { source, peer, start, asked: () => asked, headFile: join(source.folder, 'heads', name) };
}

test('a source whose head the catalog has lost is missing, not empty, when its disk is not mounted', async t => {
  const { headFile, start } = await anUnmountedSource(t);
  rmSync(headFile);
  const { catalog, history, configure, backUp } = await start();
  configure();
  await t.throwsAsync(backUp(), { code: 'SOURCE_MISSING', message: /it had 2 names, and has none/ });
  t.is(history.head(aSource)?.head.seq, 1);
  t.is(catalog.get(aSource)?.hash, history.head(aSource)?.hash);
});

test('a head that the catalog has lost is in force again from the start on, without a word of others', async t => {
  const { source, headFile, start } = await anUnmountedSource(t);
  const sealed = readFileSync(headFile);
  rmSync(headFile);
  const { origin, newest } = await start();
  await origin.putBackHeads();
  t.is(newest(), source.last);
  t.deepEqual(readFileSync(headFile), sealed);
});

test('a head in the catalog that is not what its origin signed, with whatever number, is replaced by the one of our history', async t => {
  const { headFile, start } = await anUnmountedSource(t);
  const head = decodeHead(readFileSync(headFile));
  writeFileSync(headFile, encodeHead({ ...head, seq: 9 }, signerFromSeed(generateKeyPair().seed)));
  const { origin, catalog, history, alarms } = await start();
  t.is(catalog.get(aSource), undefined);
  await origin.putBackHeads();
  t.is(catalog.get(aSource)?.hash, history.head(aSource)?.hash);
  t.is(history.head(aSource)?.hash, headHash(readFileSync(headFile)));
  t.deepEqual(alarms.list(), []);
});

test('while nobody gives a page of a listed snapshot none is taken, signed or unlisted, and a person is told; when it is there the brakes are', async t => {
  const { source, peer, start } = await anUnmountedSource(t);
  const [page] = (await readSnapshot(source.objects, source.last as ObjectId)).pages as [ObjectId];
  const bytes = (await source.objects.get(page)) as Uint8Array;
  source.objects.lose(page);
  const { origin, history, alarms, configure, backUp, newest } = await start();
  await origin.putBackHeads();
  configure();
  source.objects.forgetFresh();
  for (let tries = 0; tries < 3; tries += 1) await t.throwsAsync(backUp(), { code: 'HISTORY_LOST' });
  await t.throwsAsync(origin.forget(aSource, undefined, new AbortController().signal), { code: 'HISTORY_LOST' });
  t.is(history.head(aSource)?.head.seq, 1);
  t.deepEqual(source.objects.fresh, []);
  const told = alarms.list().map(({ code, text }) => `${code}: ${text}`);
  t.is(told.length, 1);
  t.regex(told[0] ?? '', /^BACKUP_FAILED: .*a part of the catalog is lost.*all are kept: switch on the hosts/);

  peer.set(page, bytes);
  await t.throwsAsync(backUp(), { code: 'SOURCE_MISSING' });
  t.is(newest(), source.last);
  source.write({ 'one.txt': 'one', 'two.txt': 'two', 'three.txt': 'three' });
  // A run that was due may come before this one.
  t.is((await backUp()).files, 3);
  t.true((history.head(aSource)?.head.snapshots.length ?? 0) >= 2);
  t.deepEqual(alarms.list(), []);
});

test('whoever publishes, nothing is signed above a head that is not in force', async t => {
  const { source, start } = await anUnmountedSource(t);
  source.objects.lose(source.last as ObjectId);
  const { history, catalog, alarms, objects } = await start();
  const brakes = { on: () => undefined, sinceMs: () => undefined } as never;
  const log = pino({ level: 'silent' });
  const askEverybody = async () => undefined;
  const forgotten = { seqOf: () => 0 };
  const clock = { nowMs: () => 0 };
  const heads = new OwnHeads({ clock, history, catalog, forgotten, brakes, alarms, objects, log, askEverybody });
  await t.throwsAsync(
    heads.publish(aSource, () => []),
    { code: 'HISTORY_LOST' },
  );
  t.is(history.head(aSource)?.head.seq, 1);
});

test('what a machine before this one has listed is waited for: until it is here nothing is signed or taken, whatever the folder has', async t => {
  const { source, start, headFile } = await anUnmountedSource(t);
  const listed = readFileSync(headFile);
  // A reinstalled machine has nothing of it.
  rmSync(headFile);
  rmSync(join(source.folder, 'own'), { recursive: true });
  source.write({ 'new.txt': 'new' });
  let asked = 0;
  let owed = 1;
  const brakes = { on: () => undefined, sinceMs: () => undefined } as never;
  const { history, catalog, alarms, objects } = await start();
  const heads = new OwnHeads({
    clock: { nowMs: () => 0 },
    history,
    catalog,
    forgotten: { seqOf: () => 0 },
    brakes,
    alarms,
    objects,
    log: pino({ level: 'silent' }),
    askEverybody: async () => {
      asked += 1;
    },
    owedSeq: () => owed,
  });
  for (let tries = 0; tries < 2; tries += 1) {
    await heads.knowAll();
    await t.throwsAsync(
      heads.publish(aSource, () => []),
      { code: 'HISTORY_AWAY', message: /head 1 of photos.*all are kept: switch on the other hosts/ },
    );
  }
  t.deepEqual([asked, history.head(aSource)], [2, undefined], 'who is switched on meanwhile is asked, too');
  await heads.heard(aSource, listed, source.objects);
  await heads.publish(aSource, before => before);
  t.is(history.head(aSource)?.head.snapshots.length, 1);
  owed = 2;
  await heads.publish(aSource, before => before);
  t.is(history.head(aSource)?.head.seq, 3);
});

test('while the file of the last head is damaged its source stands still, and goes on from what was heard once that is moved away', async t => {
  const { source, start, asked } = await anUnmountedSource(t);
  source.write({ 'one.txt': 'one', 'two.txt': 'two' });
  const file = join(source.folder, 'own', 'photos.head');
  writeFileSync(file, 'damage');
  const { origin, catalog, history, alarms, configure, backUp, newest } = await start();
  await origin.putBackHeads();
  configure();
  const told = () => alarms.list().map(({ code, text }) => `${code}: ${text}`);
  t.is(told().length, 1);
  t.regex(
    told()[0] ?? '',
    /^HEAD_DAMAGED: source photos: .*all are kept.*Switch on all other hosts.*move the file away/,
  );
  await t.throwsAsync(backUp(), { code: 'HEAD_DAMAGED' });
  await t.throwsAsync(origin.forget(aSource, undefined, new AbortController().signal), { code: 'HEAD_DAMAGED' });
  t.is(told().length, 1);
  t.is(newest(), source.last);

  const head = decodeHead(catalog.get(aSource)?.sealed as Uint8Array);
  const later = encodeHead({ ...head, seq: 5 }, source.signer);
  await origin.heardOwnHead(aSource, later, source.objects);
  t.is(catalog.get(aSource)?.head.seq, 5);
  await t.throwsAsync(backUp(), { code: 'HEAD_DAMAGED' });
  t.is(readFileSync(file, 'utf8'), 'damage');

  rmSync(file);
  const before = asked();
  const { filesBefore } = await backUp();
  t.is(asked(), before + 1);
  t.is(filesBefore, 2);
  t.is(history.head(aSource)?.head.seq, 6);
  t.is(catalog.get(aSource)?.head.snapshots.length, 2);
  t.deepEqual(alarms.list(), []);
});
