/** Recipes: made once for all who ask, kept while there is room, and begun anew when nobody waited for them. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { NoRecipe } from '../../src/catalog/recipe-maker.js';
import type { BlobId } from '../../src/core/ids.js';
import { isRecipe } from '../../src/core/recipe.js';
import { Recipes } from '../../src/daemon/recipes.js';
import { Replay } from '../../src/daemon/replay.js';
import type { Store } from '../../src/store/store.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { blobOf, grab, parcelOf } from '../helpers/test-parcels.js';
import { TestHost } from '../store/real-store.js';

const MiB = 1024 * 1024;
const CONTENT = seededBytes(70 * MiB, 4);
const { blob } = blobOf(CONTENT);
const { signal } = new AbortController();

function aFile(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const recipes = new Recipes({ log: pino({ level: 'silent' }) });
  t.teardown(() => recipes.stop());
  const path = join(folder, 'file');
  writeFileSync(path, CONTENT);
  const place = { file: { path: Buffer.from(path), bytes: CONTENT.length, stat: undefined }, disk: 'a disk' };
  return { recipes, path, place };
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of source) list.push(item);
  return list;
}

test('who asks for a recipe that is being made gets the very pages, and who asks later needs no file', async t => {
  const { recipes, path, place } = aFile(t);
  const [first, second] = await Promise.all([
    all(recipes.pages(blob, place, signal)),
    all(recipes.pages(blob, place, signal)),
  ]);
  t.true(first.length > 1 && first.every((page, n) => page === second[n]));
  rmSync(path);
  const later = await all(recipes.pages(blob, place, signal));
  t.true(Buffer.concat(later).equals(Buffer.concat(first)));
});

test('one that nobody waits for is not made to its end, and is made anew for the next', async t => {
  const { recipes, path, place } = aFile(t);
  const left = recipes.pages(blob, place, signal);
  await left.next();
  const other = recipes.pages(blob, place, signal);
  await other.next();
  await left.return();
  t.true((await all(other)).length > 0, 'the other one goes on');
  const moved = { ...place, file: { ...place.file, path: Buffer.from(`${path}-not`) } };
  const another = blobOf('another').blob;
  await t.throwsAsync(all(recipes.pages(another, moved, signal)), { code: 'ENOENT' });
  const begun = recipes.pages(another, place, signal);
  await begun.next();
  await begun.return();
  const wrong = { ...place, file: { ...place.file, bytes: 5 } };
  await t.throwsAsync(all(recipes.pages(another, wrong, signal)), { instanceOf: NoRecipe });
  t.true(isRecipe(Buffer.concat(await all(recipes.pages(another, place, signal))), CONTENT.length));
});

test('of a held blob without a recipe one is made, and kept by its store', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf(CONTENT));
  const ref = { blob, bytes: CONTENT.length };
  const recipes = new Recipes({ log: pino({ level: 'silent' }) });
  t.teardown(() => recipes.stop());
  const pages = await all(recipes.ofHeld(store, ref, signal));
  t.true(Buffer.from(store.recipe(ref) ?? []).equals(Buffer.concat(pages)));
  await t.throwsAsync(all(recipes.ofHeld(store, { ...ref, blob: blobOf('not held').blob }, signal)), {
    instanceOf: NoRecipe,
  });
});

test('of a held blob a recipe is given to its end though the index takes none, and a doubted one is made anew', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf(CONTENT));
  const ref = { blob, bytes: CONTENT.length };
  await store.keepRecipe(ref, Buffer.concat(await all(aFile(t).recipes.pages(blob, aFile(t).place, signal))));
  const recipes = new Recipes({ log: pino({ level: 'silent' }) });
  t.teardown(() => recipes.stop());
  const refuse = async () => {
    throw new Error('Commit failed');
  };
  for (const kept of [store.recipe(ref), undefined]) {
    const refusing = {
      id: store.id,
      recipe: () => kept,
      openBlob: (asked: BlobId) => store.openBlob(asked),
      keepRecipe: refuse,
      forgetRecipe: refuse,
    } as unknown as Store;
    const pages = await all(recipes.ofHeld(refusing, ref, signal, kept !== undefined));
    t.true(isRecipe(Buffer.concat(pages), CONTENT.length));
  }
});

test('one that is doubted is made anew, at the origin and by a holder, and the new one is kept', async t => {
  const { recipes, path, place } = aFile(t);
  const right = Buffer.concat(await all(new Recipes({ log: pino({ level: 'silent' }) }).pages(blob, place, signal)));
  writeFileSync(path, seededBytes(CONTENT.length, 9));
  const wrong = Buffer.concat(await all(recipes.pages(blob, place, signal)));
  writeFileSync(path, CONTENT);
  const given = async (isDoubted: boolean) => Buffer.concat(await all(recipes.pages(blob, place, signal, isDoubted)));
  t.true((await given(false)).equals(wrong));
  t.true((await given(true)).equals(right));
  t.true((await given(false)).equals(right));

  const host = await TestHost.begin(t);
  const store = await host.mount();
  await grab(store, parcelOf(CONTENT));
  const ref = { blob, bytes: CONTENT.length };
  await store.keepRecipe(ref, wrong);
  const held = async (isDoubted: boolean) => Buffer.concat(await all(recipes.ofHeld(store, ref, signal, isDoubted)));
  t.true((await held(false)).equals(wrong));
  t.true((await held(true)).equals(right));
  t.true(Buffer.from(store.recipe(ref) ?? []).equals(right));
});

test('one that is doubted while it is made for others is made beside it, and is the one that is kept', async t => {
  const { recipes, path, place } = aFile(t);
  const right = Buffer.concat(await all(new Recipes({ log: pino({ level: 'silent' }) }).pages(blob, place, signal)));
  writeFileSync(`${path}-wrong`, seededBytes(CONTENT.length, 9));
  const readWrong = { ...place, file: { ...place.file, path: Buffer.from(`${path}-wrong`) } };
  const first = recipes.pages(blob, readWrong, signal);
  await first.next();
  t.true(Buffer.concat(await all(recipes.pages(blob, place, signal, true))).equals(right));
  await all(first);
  t.true(Buffer.concat(await all(recipes.pages(blob, place, signal))).equals(right));
});

test('a replay gives all of a source to each reader, and its failure after what came before', async t => {
  let fail = (_error: Error): void => {};
  const failure = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const replay = new Replay(
    (async function* () {
      yield 1;
      yield 2;
      await failure;
    })(),
  );
  const early = replay.read();
  t.is((await early.next()).value, 1);
  fail(new Error('the source failed'));
  t.is((await early.next()).value, 2);
  await t.throwsAsync(early.next(), { message: 'the source failed' });
  const late = replay.read();
  t.deepEqual([(await late.next()).value, (await late.next()).value], [1, 2]);
  await t.throwsAsync(late.next(), { message: 'the source failed' });
  await t.throwsAsync(replay.ended, { message: 'the source failed' });
});
