import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import type { Entry } from '../../src/catalog/entry.js';
import { comparePaths } from '../../src/catalog/path-order.js';
import { COMPONENT_BYTES_MAX, MARK_FOLDER, nameFault, RestoreOrder } from '../../src/catalog/restore-names.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, entryOf, fileOf, parcelNumber, placed, restore, scan } from './restore-fixture.js';

const long = (bytes: number): string => 'n'.repeat(bytes);
const deep = (bytes: number): string => `${`${'d'.repeat(200)}/`.repeat(Math.ceil(bytes / 201)).slice(0, bytes - 1)}f`;

/** Names that no honest scan makes. */
const HOSTILE: readonly (string | Buffer)[] = [
  '',
  '.',
  '..',
  '/',
  '//',
  '///etc',
  './',
  '../',
  './a',
  '../a',
  '../../../../../../etc/cron.d/evil',
  'a/..',
  'a/../..',
  'a/../../b',
  'a/./b',
  'a/.',
  'a//b',
  'a/',
  'a/b/',
  '/etc/passwd',
  '/tmp/../etc/passwd',
  '/absolute',
  '/./a',
  '/../a',
  'a/../../outside',
  'a/b/../../../outside',
  '.././outside',
  '..//outside',
  'a\0',
  '\0',
  'a\0/../../outside',
  'a/b\0c/d',
  '../outside\0.txt',
  Buffer.from([0x2e, 0x2e, 0x2f, 0xff]),
  Buffer.from([0xff, 0x2f, 0x2e, 0x2e, 0x2f, 0x2e, 0x2e]),
  long(COMPONENT_BYTES_MAX + 1),
  `a/${long(COMPONENT_BYTES_MAX + 1)}`,
  `a/${long(4000)}/b`,
  deep(4097),
  deep(5000),
  MARK_FOLDER,
  `${MARK_FOLDER}/mark`,
  `${MARK_FOLDER}/links/x`,
  `${MARK_FOLDER}/part-1`,
  `${'../'.repeat(30)}outside`,
  `a${'/..'.repeat(30)}/outside`,
];

/** Names that look odd and are good. */
const HONEST: readonly (string | Buffer)[] = [
  '...',
  '..a',
  'a..',
  '.hidden',
  ' ',
  '-rf',
  '~',
  '$HOME',
  'a\nb',
  'a\\b',
  '..\\..\\windows',
  'C:\\',
  'CON',
  '%2e%2e%2f',
  '\u202egpj.exe',
  Buffer.from([0xff, 0xfe]),
  Buffer.from([0xc0, 0xae, 0xc0, 0xae]),
  long(COMPONENT_BYTES_MAX),
  deep(4096),
  `sub/${MARK_FOLDER}`,
  `${MARK_FOLDER}x`,
];

test('at least forty hostile names are known, and each is refused', t => {
  t.true(HOSTILE.length >= 40);
  for (const name of HOSTILE)
    t.not(nameFault(Buffer.from(name)), undefined, JSON.stringify(name.toString().slice(0, 60)));
});

test('names that only look odd are taken', t => {
  for (const name of HONEST)
    t.is(nameFault(Buffer.from(name)), undefined, JSON.stringify(name.toString().slice(0, 60)));
});

for (const under of ['', 'a', 'a/b']) {
  test(`no hostile name, as any kind of entry, gets anything outside the target (asked for ${JSON.stringify(under)})`, async t => {
    const folder = temporaryFolder(t);
    // Deep enough that every `..` of the corpus would still land in the folder that is compared.
    const target = join(folder, 'w/'.repeat(40), 'target');
    mkdirSync(join(folder, 'w/'.repeat(40)), { recursive: true });
    writeFileSync(join(folder, 'outside'), 'untouched');
    const before = scan(Buffer.from(folder));
    const entries: Entry[] = [];
    for (const name of HOSTILE) {
      const path = under === '' ? Buffer.from(name) : Buffer.concat([Buffer.from(`${under}/`), Buffer.from(name)]);
      if (under === '' && path.length === 0) continue;
      entries.push(
        fileOf(path, 'evil'),
        entryOf(path, { kind: 'directory', mode: 0o777 }),
        entryOf(path, { kind: 'symlink', target: Buffer.from('/etc') }),
      );
    }
    const mark = { snapshot: 's', sourceId: 'i', under: Buffer.from(under) };
    const list = placed([
      entryOf(under, { kind: 'directory' }),
      ...entries.sort((a, b) => comparePaths(a.path, b.path)),
    ]);
    const { report } = await restore({ target, list, blobs: new Blobs().add('evil'), mark });

    t.true(report.failed >= entries.length - 3, 'only "a" and the like may pass');
    const after = scan(Buffer.from(folder)).filter(({ path }) => !path.includes('target'));
    const shown = (list: Entry[]) =>
      list.map(({ path, kind, mode, blob }) => [path.toString('latin1'), kind, mode, blob]);
    t.deepEqual(shown(after), shown(before));
  });
}

test('a symlink and then a file below it: the file is refused and nothing gets through', async t => {
  const folder = temporaryFolder(t);
  const outside = join(folder, 'outside');
  mkdirSync(outside);
  const list = placed(
    [
      entryOf('', { kind: 'directory' }),
      entryOf('door', { kind: 'symlink', target: Buffer.from(outside) }),
      fileOf('door/evil', 'evil'),
      entryOf('door/folder', { kind: 'directory' }),
      fileOf('door/folder/evil', 'evil'),
      entryOf('door/link', { kind: 'symlink', target: Buffer.from('x') }),
      fileOf('door/hard', 'evil', { link: '0000000000000001' }),
    ].sort((a, b) => comparePaths(a.path, b.path)),
  );
  const { report } = await restore({ target: join(folder, 'target'), list, blobs: new Blobs().add('evil') });
  t.is(report.failed, 5);
  t.deepEqual(readdirSync(outside), []);
  t.true(lstatSync(join(folder, 'target/door')).isSymbolicLink());
});

test('a name that is a symlink first and a folder later is refused the second time', async t => {
  const folder = temporaryFolder(t);
  const outside = join(folder, 'outside');
  mkdirSync(outside);
  const list = placed([
    entryOf('door', { kind: 'symlink', target: Buffer.from(outside) }),
    entryOf('door', { kind: 'directory', mode: 0o777 }),
    fileOf('door/evil', 'evil'),
  ]);
  const { report } = await restore({ target: join(folder, 'target'), list, blobs: new Blobs().add('evil') });
  t.is(report.failed, 2);
  t.deepEqual(readdirSync(outside), []);
});

test('a name that comes twice keeps its first content', async t => {
  const target = join(temporaryFolder(t), 'target');
  const list = [fileOf('a', 'first'), fileOf('a', 'second')].map(entry => ({ entry, parcel: parcelNumber(1) }));
  const { report } = await restore({ target, list, blobs: new Blobs().add('first').add('second') });
  t.is(report.failed, 1);
  t.is(readFileSync(join(target, 'a'), 'utf8'), 'first');
});

test('a file whose folder is not listed is refused', async t => {
  const target = join(temporaryFolder(t), 'target');
  const { report } = await restore({ target, list: placed([fileOf('d/a', 'x')]), blobs: new Blobs().add('x') });
  t.is(report.failed, 1);
  t.false(existsSync(join(target, 'd')));
});

test('entries outside what was asked for are refused', t => {
  const order = new RestoreOrder(Buffer.from('a/b'));
  t.is(order.next(entryOf('a/b', { kind: 'directory' })).act, 'write');
  t.is(order.next(entryOf('a/bc')).act, 'refuse');
  t.is(order.next(entryOf('a/c')).act, 'refuse');
  t.is(order.next(entryOf('b')).act, 'refuse');
});

const component = fc.oneof(
  fc.constantFrom('.', '..', '', 'a', 'b', 'a.', '-'),
  fc.uint8Array({ minLength: 1, maxLength: 6 }).map(bytes => Buffer.from(bytes).toString('latin1')),
);
const anyPath = fc
  .array(component, { minLength: 0, maxLength: 5 })
  .map(parts => Buffer.from(parts.join('/'), 'latin1'));
const anyEntry = fc
  .tuple(anyPath, fc.constantFrom('file', 'directory', 'symlink'))
  .map(([path, kind]) => entryOf(path, { kind: kind as Entry['kind'] }));

test('law: whatever comes, what may be written has a plain relative path, once, below folders that may be written', t => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 40 }), fc.boolean(), anyPath, (entries, isSorted, under) => {
        const order = new RestoreOrder(under);
        const written = new Set<string>();
        const folders = new Set<string>(['']);
        const list = isSorted ? entries.sort((a, b) => comparePaths(a.path, b.path)) : entries;
        for (const entry of list) {
          const verdict = order.next(entry);
          if (verdict.act === 'refuse') continue;
          const path = verdict.path.toString('latin1');
          const parts = path.split('/');
          if (path !== '') {
            if (parts.some(part => part === '' || part === '.' || part === '..' || part.includes('\0'))) return false;
            if (!folders.has(parts.slice(0, -1).join('/'))) return false;
          }
          if (written.has(path)) return false;
          written.add(path);
          if (entry.kind === 'directory') folders.add(path);
        }
        return true;
      }),
      { numRuns: 2_000 },
    ),
  );
});

test('law: every folder is closed once, after all its content and after the folders in it', t => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.uniqueArray(anyPath, { maxLength: 40, selector: path => path.toString('latin1') }), paths => {
        const order = new RestoreOrder(Buffer.alloc(0));
        const open: string[] = [];
        const close = (closed: readonly { path: Buffer }[]) =>
          closed.every(({ path }) => open.pop() === path.toString('latin1'));
        for (const path of paths.sort(comparePaths)) {
          const verdict = order.next(entryOf(path, { kind: 'directory' }));
          if (!close(verdict.closed)) return false;
          if (verdict.act === 'refuse') continue;
          if (!open.every(folder => folder === '' || verdict.path.toString('latin1').startsWith(`${folder}/`)))
            return false;
          open.push(verdict.path.toString('latin1'));
        }
        return close(order.end()) && open.length === 0;
      }),
    ),
  );
});
