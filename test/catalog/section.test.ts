/** Sections: a scan that tells of them as a whole ends in the same snapshot as one that gives every entry. */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { ScanCache } from '../../src/catalog/scan-cache.js';
import { decodeSections, encodeSection } from '../../src/catalog/section.js';
import type { ObjectId } from '../../src/core/ids.js';
import { anyTimeMs, aSource, ScratchSource, settle } from './scratch-source.js';

const FOLDERS = 12;
const FILES = 400;
/** Some thirty parcels: of what is unchanged a scan reads the first, and eight more ahead. */
const MANY_FILES = 2000;
const DAY_MS = 86_400_000;
const anotherSnapshot = 'ff'.repeat(32) as ObjectId;

const pathOf = (n: number): string => `folder${n % FOLDERS}/part${n % 3}/file${n}`;

async function settledSource(
  t: { teardown(end: () => Promise<void>): void },
  files = MANY_FILES,
  { settleMs = 0 }: { readonly settleMs?: number } = {},
): Promise<ScratchSource> {
  const source = new ScratchSource(t, { settleMs });
  for (let n = 0; n < files; n += 1) source.write({ [pathOf(n)]: `content ${n}` });
  await settle(source);
  return source;
}

async function readsOf(source: ScratchSource, change: Parameters<ScratchSource['take']>[0] = {}): Promise<number> {
  const before = source.objects.reads;
  await source.take(change);
  return source.objects.reads - before;
}

test('where nothing changed, next to none of the last snapshot is read', async t => {
  const source = await settledSource(t);
  const { parcels } = await source.take();
  t.true(parcels > 24);
  const unchanged = await readsOf(source);
  t.true(unchanged < parcels / 2, `${unchanged} of ${parcels}`);
});

test('sections of another snapshot than the last one are not used, and neither are those of another cache', async t => {
  const source = await settledSource(t);
  const { parcels } = await source.take();
  t.true((await readsOf(source, { cache: undefined })) > parcels);
  source.cache.putSections(aSource, anotherSnapshot, Buffer.alloc(0));
  t.true((await readsOf(source)) > parcels);
  t.true((await readsOf(source)) < parcels / 2);
});

test('a section that the run before it goes on into is cut anew', async t => {
  const source = await settledSource(t);
  const first = await source.take();
  const paths = await source.paths();
  const sections = [...decodeSections(source.cache.sections(aSource, first.snapshot) ?? Buffer.alloc(0))];
  const closing = sections
    .map(({ opening }) => paths[paths.indexOf(opening.toString()) - 1])
    .filter(path => path?.includes('file'));
  t.true(closing.length > 10);
  const ends = [closing[3], closing[4], closing.at(-1)];
  for (const path of ends) rmSync(source.path(path ?? ''));
  const whole = await source.take({ previous: first.snapshot, cache: undefined });
  const told = await source.take({ previous: first.snapshot });
  t.deepEqual(told, whole);
  t.is(told.filesGone, ends.length);
});

test('what was not looked up for a month is, so that the cache keeps it', async t => {
  const source = await settledSource(t);
  const { parcels } = await source.take();
  for (const [days, isLookedUp] of [
    [29, false],
    [31, true],
    [60, false],
    [62, true],
  ] as const) {
    const nowMs = anyTimeMs + days * DAY_MS;
    const cache = new ScanCache(source.cache.path, { nowMs, settleMs: 0 });
    const reads = await readsOf(source, { cache, nowMs });
    await cache.close();
    t.is(reads > parcels, isLookedUp, `after ${days} days: ${reads} reads`);
  }
});

test('a service that has run for long dates its sections by today', async t => {
  const source = await settledSource(t);
  const nowMs = anyTimeMs + 40 * DAY_MS;
  const { parcels } = await source.take({ nowMs });
  t.true((await readsOf(source, { nowMs })) < parcels / 2);
});

test('what may have changed since its time was stamped is in no section', async t => {
  const source = await settledSource(t);
  const pathsInSections = async (snapshot: ObjectId): Promise<string[]> => {
    const paths = await source.paths(snapshot);
    const sections = [...decodeSections(source.cache.sections(aSource, snapshot) ?? Buffer.alloc(0))];
    return sections.flatMap(({ opening, entries }) => {
      const first = paths.indexOf(opening.toString());
      return paths.slice(Math.max(0, first), first + entries);
    });
  };
  let { snapshot } = await source.take();
  const files = (await pathsInSections(snapshot)).filter(path => /file\d+$/.test(path));
  t.true(files.length > MANY_FILES / 2);
  const name = files[files.length >> 1] ?? '';
  const file = { source: aSource, path: Buffer.from(name), link: undefined };
  const isCached = (): boolean =>
    source.cache.lookup(file, statSync(source.path(name), { bigint: true })).blob !== undefined;
  t.true(isCached());
  // On a busy machine it may be read too late for that.
  for (let tries = 0; tries < 50; tries += 1) {
    writeFileSync(source.path(name), `content ${tries}`);
    ({ snapshot } = await source.take());
    if (!isCached()) break;
  }
  t.false(isCached());
  t.false((await pathsInSections(snapshot)).includes(name));
});

test('sections of any content are read as they were written', t => {
  const sections = fc.record({
    opening: fc.uint8Array({ maxLength: 4096 }).map(bytes => Buffer.from(bytes)),
    print: fc.uint8Array({ minLength: 32, maxLength: 32 }).map(bytes => Buffer.from(bytes)),
    day: fc.nat(),
    ordinal: fc.nat(),
    parcels: fc.nat(),
    entries: fc.nat(),
    files: fc.nat(),
    bytes: fc.maxSafeNat(),
    top: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(sections), list => {
      t.deepEqual([...decodeSections(Buffer.concat(list.map(encodeSection)))], list);
    }),
    { numRuns: 50 },
  );
});

/** Does something to the tree that hangs on nothing but the numbers. */
function change({ root }: ScratchSource, [what, which, where]: readonly [number, number, number]): void {
  const at = (path: string): string => join(root, path);
  const file = at(pathOf(which));
  const other = at(pathOf(where));
  const folder = dirname(file);
  mkdirSync(folder, { recursive: true });
  mkdirSync(dirname(other), { recursive: true });
  switch (what) {
    case 0:
      rmSync(file, { force: true });
      break;
    case 1:
      rmSync(file, { recursive: true, force: true });
      writeFileSync(file, `another content ${where}`);
      break;
    case 2:
      writeFileSync(`${file}.new${where}`, 'new');
      break;
    case 3:
      if (existsSync(file)) renameSync(file, `${folder}/moved${where}`);
      break;
    case 4:
      if (existsSync(file)) chmodSync(file, 0o600 + (where % 8));
      break;
    case 5:
      if (!existsSync(`${folder}-${where}`)) renameSync(folder, `${folder}-${where}`);
      break;
    case 6:
      rmSync(folder, { recursive: true });
      break;
    case 7:
      rmSync(`${file}.link`, { force: true });
      symlinkSync(`to ${where}`, `${file}.link`);
      break;
    case 8:
      if (existsSync(file) && !existsSync(`${other}.name`)) linkSync(file, `${other}.name`);
      break;
    case 9:
      chmodSync(folder, 0o700 + (where % 8));
      break;
    default:
      // A parcel of its own, inside a run.
      appendFileSync(`${file}.large`, Buffer.alloc(9 * 1024 * 1024, where));
  }
}

test('a file that was not settled when it was read is in no section', async t => {
  for (const settleMs of [0, 3_600_000]) {
    const source = await settledSource(t, FILES, { settleMs });
    const { snapshot } = await source.take();
    const sections = decodeSections(source.cache.sections(aSource, snapshot) ?? Buffer.alloc(0));
    const files = [...sections].reduce((sum, section) => sum + section.files, 0);
    t.is(files > 0, settleMs === 0);
  }
});

test('whatever changed, the snapshot is the one of a scan that gives every entry', async t => {
  const changes = fc.array(fc.tuple(fc.nat(10), fc.nat(FILES - 1), fc.nat(FILES - 1)), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.array(changes, { minLength: 1, maxLength: 4 }), async steps => {
      const source = await settledSource(t, FILES);
      const withoutSections = new ScanCache(join(source.folder, 'other.mdb'), { nowMs: anyTimeMs, settleMs: 0 });
      try {
        let nowMs = anyTimeMs;
        for (const step of [[], ...steps]) {
          for (const one of step) change(source, one);
          await settle(source);
          nowMs += 1;
          const previous = source.last;
          withoutSections.putSections(aSource, anotherSnapshot, Buffer.alloc(0));
          const whole = await source.take({ previous, nowMs, cache: withoutSections });
          const told = await source.take({ previous, nowMs });
          t.deepEqual(told, whole);
        }
      } finally {
        await withoutSections.close();
      }
    }),
    { numRuns: 12 },
  );
});
