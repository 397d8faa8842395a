/** Recipe maker: chunks that hash to what lies there, or word that the file is not as it was. */
import { appendFileSync, linkSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeRecipe, NoRecipe, recipeThread } from '../../src/catalog/recipe-maker.js';
import { hash } from '../../src/core/hash.js';
import { chunksOf, isRecipe, PAGE_CHUNKS_MAX, packChunks, RECIPE_CHUNKS_MAX } from '../../src/core/recipe.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const MiB = 1024 * 1024;
/** Exactly what is read at two asks: a third one finds the end. */
const CONTENT = seededBytes(64 * MiB, 3);
const { signal } = new AbortController();

function aFile(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const name = join(folder, 'file');
  writeFileSync(name, CONTENT);
  const thread = recipeThread();
  t.teardown(() => thread.end());
  const file = { path: Buffer.from(name), bytes: CONTENT.length, stat: statSync(name, { bigint: true }) };
  return { name, thread, file };
}

async function pagesFrom(pages: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const got: Uint8Array[] = [];
  for await (const page of pages) got.push(page);
  return got;
}

test('every chunk hashes to its name, and together they are the file', async t => {
  const { thread, file } = aFile(t);
  const pages = await pagesFrom(makeRecipe(thread, file, signal));
  t.true(pages.length > 1, 'given out while it is made');
  t.true(pages.every(({ length }) => length > 0));
  const packed = Buffer.concat(pages);
  t.true(isRecipe(packed, file.bytes));
  let at = 0;
  for (const chunk of chunksOf(packed)) {
    t.deepEqual(Buffer.from(chunk.hash), Buffer.from(hash(CONTENT.subarray(at, at + chunk.bytes))));
    at += chunk.bytes;
  }
});

test('the pieces of ranges hash to what lies there, each range cut by itself', async t => {
  const { thread, file } = aFile(t);
  const ranges = [
    { offset: 5, bytes: 9 * MiB },
    { offset: 10 * MiB, bytes: 1 },
    { offset: CONTENT.length - 300_000, bytes: 300_000 },
  ];
  const pages = await pagesFrom(makeRecipe(thread, file, signal, ranges));
  const pieces = [...chunksOf(Buffer.concat(pages))];
  for (const { offset, bytes } of ranges) {
    for (let at = 0; at < bytes; ) {
      const piece = pieces.shift();
      if (piece === undefined) return t.fail('there are too few');
      const begin = offset + at;
      t.deepEqual(Buffer.from(piece.hash), Buffer.from(hash(CONTENT.subarray(begin, begin + piece.bytes))));
      at += piece.bytes;
      t.true(at <= bytes);
    }
  }
  t.is(pieces.length, 0);
  const beyond = [{ offset: CONTENT.length - 1, bytes: 2 }];
  await t.throwsAsync(pagesFrom(makeRecipe(thread, file, signal, beyond)), { instanceOf: NoRecipe });
});

test('a file of 2^20 chunks has a recipe, and one of more has none', async t => {
  const [page, one] = [PAGE_CHUNKS_MAX, 1].map(count =>
    packChunks(Array.from({ length: count }, () => ({ hash: Buffer.alloc(32), bytes: MiB }))),
  );
  /** Such a file has half a terabyte: so the thread is one that only says that it has read it. */
  const threadOf = (more: readonly unknown[]) => {
    const pages = [...Array.from({ length: RECIPE_CHUNKS_MAX / PAGE_CHUNKS_MAX }, () => page), ...more];
    let next = 0;
    const ask = async ({ is }: { readonly is: string }) => {
      if (is !== 'more') return { is: 'done' };
      next += 1;
      return { is: 'chunks', page: pages[next - 1], last: next === pages.length };
    };
    return { open: () => ({ number: 1, ask, close: () => {} }) } as never;
  };
  const made = async (more: readonly unknown[]): Promise<number> => {
    let pages = 0;
    const { file } = aFile(t);
    for await (const _ of makeRecipe(threadOf(more), file, signal)) pages += 1;
    return pages;
  };
  t.is(await made([]), RECIPE_CHUNKS_MAX / PAGE_CHUNKS_MAX);
  await t.throwsAsync(made([one]), { instanceOf: NoRecipe, message: /more chunks than a recipe may have/ });
});

test('the chunks of a file of a terabyte are larger, so that it has a recipe, too', async t => {
  const { name, thread, file } = aFile(t);
  truncateSync(name, 10 ** 12);
  const grown = { ...file, bytes: 10 ** 12, stat: statSync(name, { bigint: true }) };
  const lengths: number[] = [];
  for await (const page of makeRecipe(thread, grown, signal)) {
    for (const { bytes } of chunksOf(page)) lengths.push(bytes);
    if (lengths.length >= 16) break;
  }
  t.true(lengths.every(bytes => bytes >= 2 * MiB));
});

test('two at once in one thread, and one that is left early, do not disturb each other', async t => {
  const { thread, file } = aFile(t);
  const [first] = await pagesFrom(makeRecipe(thread, file, signal));
  const both = [makeRecipe(thread, file, signal), makeRecipe(thread, { ...file, stat: undefined }, signal)];
  for await (const page of makeRecipe(thread, file, signal)) {
    t.deepEqual(page, first);
    break;
  }
  const [one, other] = await Promise.all(both.map(pagesFrom));
  t.deepEqual(one, other);
});

test('a file that is not as it was has no recipe, before, in the middle and at the end', async t => {
  const { name, thread, file } = aFile(t);
  const { stat } = file;
  const fails = (changed: object, message: string) =>
    t.throwsAsync(pagesFrom(makeRecipe(thread, { ...file, ...changed }, signal)), { instanceOf: NoRecipe }, message);
  await fails({ stat: { ...stat, mtimeNs: stat.mtimeNs + 1n } }, 'mtime');
  await fails({ stat: { ...stat, ctimeNs: stat.ctimeNs + 1n } }, 'ctime');
  await fails({ stat: { ...stat, ino: stat.ino + 1n } }, 'inode');
  await fails({ bytes: file.bytes - 1, stat: undefined }, 'size');
  for (const change of [() => utimesSync(name, 1, 1), () => appendFileSync(name, 'x')]) {
    const pages = makeRecipe(thread, { ...file, stat: undefined }, signal);
    await pages.next();
    change();
    await t.throwsAsync(pagesFrom(pages), { instanceOf: NoRecipe });
  }
});

test('a held blob may be linked to while its recipe is made; a file of a source may not', async t => {
  const { name, thread, file } = aFile(t);
  const linkedWhileMade = async (stat: typeof file.stat | undefined): Promise<number> => {
    let bytes = 0;
    for await (const page of makeRecipe(thread, { ...file, stat }, signal)) {
      if (bytes === 0) linkSync(name, `${name}-${stat === undefined}`);
      for (const chunk of chunksOf(page)) bytes += chunk.bytes;
    }
    return bytes;
  };
  t.is(await linkedWhileMade(undefined), file.bytes);
  await t.throwsAsync(linkedWhileMade(statSync(name, { bigint: true })), { instanceOf: NoRecipe });
});

test('what the disk says is passed on, and a signal ends the making', async t => {
  const { name, thread, file } = aFile(t);
  const nowhere = { ...file, path: Buffer.from(`${name}-not`) };
  await t.throwsAsync(pagesFrom(makeRecipe(thread, nowhere, signal)), { code: 'ENOENT' });
  const abort = new AbortController();
  const pages = makeRecipe(thread, file, abort.signal);
  await pages.next();
  abort.abort(new Error('enough'));
  await t.throwsAsync(pagesFrom(pages), { message: 'enough' });
});
