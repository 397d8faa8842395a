import test from 'ava';
import fc from 'fast-check';
import type { SnapshotId } from '../../src/catalog/snapshot.js';
import { chooseSnapshot, parseSourceSpec, sourceSpecText, specInUtc } from '../../src/catalog/source-spec.js';
import { ClusterError } from '../../src/core/fault.js';
import { arbitraryPath } from './arbitraries.js';

const id = (digit: string): SnapshotId => digit.repeat(64).slice(0, 64) as SnapshotId;

test('a source alone means all of its latest snapshot', t => {
  t.deepEqual(parseSourceSpec('photos'), {
    host: undefined,
    source: 'photos',
    snapshot: { kind: 'latest' },
    path: Buffer.alloc(0),
  });
  t.like(parseSourceSpec('imac/photos'), { host: 'imac', source: 'photos' });
  t.like(parseSourceSpec('photos:'), { path: Buffer.alloc(0) });
});

test('snapshots are named by latest, by an id or by a time, taken greedily', t => {
  const cases: readonly [string, object, string][] = [
    ['a@latest:x', { kind: 'latest' }, 'x'],
    ['a@0123abcd', { kind: 'id', prefix: '0123abcd' }, ''],
    ['a@0123ABCD:x', { kind: 'id', prefix: '0123abcd' }, 'x'],
    ['a@20260501', { kind: 'id', prefix: '20260501' }, ''],
    ['a@2026-05-01Z', { kind: 'time', beforeMs: Date.UTC(2026, 4, 2) }, ''],
    ['a@2026-12-31T23Z:x', { kind: 'time', beforeMs: Date.UTC(2027, 0, 1) }, 'x'],
    ['a@2026-05-01T10:30Z:15', { kind: 'time', beforeMs: Date.UTC(2026, 4, 1, 10, 31) }, '15'],
    ['a@2026-05-01T10:30:15', { kind: 'time', beforeMs: new Date(2026, 4, 1, 10, 30, 16).getTime() }, ''],
    ['a@2026-05-01T10:30:15:x:y', { kind: 'time', beforeMs: new Date(2026, 4, 1, 10, 30, 16).getTime() }, 'x:y'],
    ['a@2026-05-01:b@c', { kind: 'time', beforeMs: new Date(2026, 4, 2).getTime() }, 'b@c'],
  ];
  for (const [text, snapshot, path] of cases) {
    const spec = parseSourceSpec(text);
    t.deepEqual<unknown, unknown>(spec.snapshot, snapshot, text);
    t.is(spec.path.toString(), path, text);
  }
});

test('paths are bytes: escapes are undone, slashes at the ends are no part of them', t => {
  t.deepEqual(parseSourceSpec('a:b\\xffc\\x0a').path, Buffer.from([0x62, 0xff, 0x63, 0x0a]));
  t.is(parseSourceSpec('a:/b/c/').path.toString(), 'b/c');
  fc.assert(
    fc.property(arbitraryPath, path => {
      t.deepEqual(parseSourceSpec(sourceSpecText({ host: 'h', source: 's', path }, id('a'))).path, path);
    }),
  );
});

test('what is no source, snapshot or path is refused with what was given', t => {
  for (const text of [
    '',
    'Photos',
    'a/b/c',
    '/a',
    'a@',
    'a@123',
    'a@0123abc',
    'a@2026-13-01',
    'a@2026-02-30',
    'a@0050-01-01',
    'a@0999-12-31',
    'a@2026-05-01T24',
    'a@latestx',
    'a@yesterday',
    'a@2026-05-01junk',
    'a:b/../c',
    'a:b//c',
    'a:.',
    'a@0123abcg',
  ]) {
    const error = t.throws(() => parseSourceSpec(text), { instanceOf: ClusterError }, text);
    t.is(error?.code, 'BAD_SOURCE_SPEC');
    t.is(error?.blame, 'operator');
  }
  t.throws(() => parseSourceSpec('a:b\\c'), { code: 'BAD_PATH_TEXT' });
});

test('latest is the newest, a time the newest before it, an id the one that begins so', t => {
  const list = [
    { id: id('ab'), timeMs: 10 },
    { id: id('ac'), timeMs: 30 },
    { id: id('ba'), timeMs: 20 },
  ];
  t.deepEqual(chooseSnapshot({ kind: 'latest' }, list), { kind: 'chosen', snapshot: list[1] as (typeof list)[0] });
  t.deepEqual(chooseSnapshot({ kind: 'time', beforeMs: 30 }, list), {
    kind: 'chosen',
    snapshot: list[2] as (typeof list)[0],
  });
  t.deepEqual(chooseSnapshot({ kind: 'time', beforeMs: 10 }, list), { kind: 'none' });
  t.deepEqual(chooseSnapshot({ kind: 'id', prefix: 'ba' }, list), {
    kind: 'chosen',
    snapshot: list[2] as (typeof list)[0],
  });
  t.is(chooseSnapshot({ kind: 'id', prefix: 'a' }, list).kind, 'ambiguous');
  t.is(chooseSnapshot({ kind: 'id', prefix: 'cc' }, list).kind, 'none');
  t.is(chooseSnapshot({ kind: 'latest' }, []).kind, 'none');
});

test('for another time zone a time is written out in UTC and means the same; all else stays as it was typed', t => {
  for (const time of ['2026-05-01', '2026-05-01T10', '2026-12-31T23:59', '2026-05-01T10:30:15', '2026-05-01T10Z']) {
    const text = `imac/photos@${time}:a\\x0ab`;
    t.regex(specInUtc(text), /^imac\/photos@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ:a\\x0ab$/);
    t.deepEqual(parseSourceSpec(specInUtc(text)), parseSourceSpec(text));
  }
  t.is(specInUtc('a@2026-05-01Z'), 'a@2026-05-01T23:59:59Z');
  for (const text of ['a', 'a@latest:x', 'a@0123ABCD:/x/']) t.is(specInUtc(text), text);
  t.throws(() => specInUtc('a@2026-02-30'), { code: 'BAD_SOURCE_SPEC' });
});
