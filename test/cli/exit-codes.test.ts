import test from 'ava';
import { EXIT, exitCodeFor, isInterruption } from '../../src/cli/exit-codes.js';
import { findStateFolder, newStateFolder } from '../../src/cli/state-folder.js';
import { columnsOf, onTerminal, printable, spanText, tableText, wrapped } from '../../src/cli/text.js';
import { ClusterError } from '../../src/core/fault.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

test('the exit codes are those that scripts know', t => {
  t.deepEqual(Object.values(EXIT), [0, 1, 2, 3, 10, 11, 12, 20, 21, 22, 130]);
});

test('an error that the table does not know exits with 1', t => {
  t.is(exitCodeFor(new ClusterError('NEVER_HEARD_OF', '', { blame: 'peer' })), 1);
  t.is(exitCodeFor(new Error('bug')), 1);
  t.is(exitCodeFor('text'), 1);
  t.is(exitCodeFor(new ClusterError('SERVICE_NOT_RUNNING', '', { blame: 'operator' })), 11);
});

test('an interruption is the abort itself, or an error made from it, and no other failure', t => {
  const reason = new ClusterError('INTERRUPTED', 'interrupted', { blame: 'operator' });
  t.true(isInterruption(reason, reason));
  t.true(isInterruption(new Error('could not be read', { cause: reason }), reason));
  t.true(isInterruption(Object.assign(new Error('aborted'), { name: 'AbortError' }), reason));
  t.false(isInterruption(new AggregateError([new Error('EIO')], 'did not end cleanly'), reason));
  t.false(isInterruption('text', reason));
});

test('a state folder that is given explicitly is never replaced by another one', t => {
  const folder = temporaryFolder(t);
  const environment = { XDG_STATE_HOME: folder };
  t.throws(() => findStateFolder({ option: `${folder}/typo`, environment, isRoot: false }), {
    code: 'NO_STATE_FOLDER',
  });
  t.throws(() => findStateFolder({ environment: { ...environment, CLUSTER_STATE: `${folder}/typo` }, isRoot: false }), {
    code: 'NO_STATE_FOLDER',
  });
});

test('a new state folder is the system’s for root and the user’s own otherwise; a relative XDG_STATE_HOME is ignored', t => {
  const environment = { XDG_STATE_HOME: temporaryFolder(t) };
  t.is(newStateFolder({ environment, isRoot: false }, 'init'), `${environment.XDG_STATE_HOME}/scatterhoard`);
  t.is(newStateFolder({ environment, isRoot: true }, 'init'), '/var/lib/scatterhoard');
  t.regex(
    newStateFolder({ environment: { XDG_STATE_HOME: 'relative' }, isRoot: false }, 'init'),
    /\/\.local\/state\/scatterhoard$/,
  );
});

test('text that came from elsewhere cannot steer a terminal', t => {
  t.is(printable('a\u001b[31m\u0007\u009b\u202e\u2028b\n\tü日'), 'a\\x1b[31m\\x07\\x9b\\u{202e}\\u{2028}b\n\tü日');
});

test('a table on a terminal fits 80 columns, and only a word that has no room is cut', t => {
  const heads = [{ head: 'one' }, { head: 'two' }, { head: 'three', align: 'right' }] as const;
  const long = tableText(true, heads, [
    ['x'.repeat(100), 'short', '12'],
    ['a', 'y'.repeat(60), '3'],
  ]);
  for (const line of long.split('\n')) t.true(line.length <= 80, line);
  for (const letter of ['x', 'y'])
    t.is(long.split(letter).length - 1, letter === 'x' ? 100 : 60, 'nothing is left out');

  const sentence = 'not since the start of this service, which was an hour ago';
  const table = tableText(true, heads, [
    ['z'.repeat(30), sentence, '12'],
    ['z', sentence, '3'],
  ]);
  const words = table.split(/\s+/);
  for (const word of ['z'.repeat(30), ...sentence.split(' ')]) t.true(words.includes(word), word);
  for (const line of table.split('\n')) t.true(line.length <= 80, line);
});

test('of a table nothing is left out for being wide, and it fits 80 columns as a terminal counts them', t => {
  const heads = [{ head: 'name' }, { head: 'size', align: 'right' }, { head: 'why' }] as const;
  const rows = [
    ['照片'.repeat(30), '1', '这是 一个 很长 的 名字 '.repeat(8).trim()],
    ['🐿'.repeat(50), '12', 'cafe\u0301'],
  ];
  const lines = tableText(true, heads, rows).split('\n');
  for (const line of lines) t.true(columnsOf(line) <= 80, line);
  for (const character of ['照', '片', '长', '🐿'])
    t.is(lines.join('').split(character).length, rows.flat().join('').split(character).length, character);
  t.deepEqual(['照片', 'ab', 'cafe\u0301', '🐿', '\u001b[31mab\u001b[39m'].map(columnsOf), [4, 2, 4, 2, 2]);
});

test('a table of more rows than a call takes arguments is laid out', t => {
  const row = ['abcdabcd', '2026-11-21 10:00:00', 'held, not yet protected'];
  const table = tableText(true, [{ head: 'id' }, { head: 'time' }, { head: 'state' }], Array(50_000).fill(row));
  t.is(table.split('\n').length, 50_001);
});

test('a text is broken at spaces, a word that is too long is cut, and colours take no room', t => {
  t.deepEqual(wrapped('one two three', 7), ['one two', 'three']);
  t.deepEqual(wrapped('a abcdefgh b', 4), ['a', 'abcd', 'efgh', 'b']);
  t.deepEqual(wrapped('\u001b[31mone two\u001b[39m', 7), ['\u001b[31mone two\u001b[39m']);
  t.deepEqual(wrapped('', 7), ['']);
  const lines = onTerminal('alarm of a source '.repeat(20).trim()).split('\n');
  for (const line of lines) t.true(line.length <= 80, line);
  for (const line of lines.slice(1)) t.regex(line, /^ {2}\S/);
  for (const columns of [1, 2, 3]) t.is(onTerminal('a text that is kept', columns), 'a text that is kept');
});

test('spans are one unit, rounded down', t => {
  t.deepEqual([0, 59_999, 60_000, 3_599_999, 3_600_000, 86_400_000].map(spanText), [
    '0 s',
    '59 s',
    '1 min',
    '59 min',
    '1 h',
    '1 d',
  ]);
});
