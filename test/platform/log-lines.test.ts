import test from 'ava';
import { LogLines, type WriteSome } from '../../src/platform/log-lines.js';

/** A log of which each write is answered by the next of `answers`, and then takes everything. */
function logOf(...answers: readonly (number | string)[]): { readonly lines: LogLines; readonly text: () => string } {
  const left = [...answers];
  let text = '';
  const writeSome: WriteSome = async bytes => {
    const answer = left.shift() ?? bytes.length;
    if (typeof answer === 'string') throw Object.assign(new Error(answer), { code: answer });
    text += Buffer.from(bytes.subarray(0, answer)).toString();
    return answer;
  };
  return { lines: new LogLines(writeSome), text: () => text };
}

const droppedIn = (text: string): unknown[] =>
  text
    .split('\n')
    .filter(line => line.includes('LOG_LINES_DROPPED'))
    .map(line => (JSON.parse(line) as { readonly lines: unknown }).lines);

test('lines are written in their order, however few bytes are taken at once', async t => {
  const { lines, text } = logOf(1, 2, 3);
  for (const line of ['one\n', 'two\n', 'three\n']) lines.write(line);
  await lines.end();
  t.is(text(), 'one\ntwo\nthree\n');
});

test('lines that could not be written are dropped, and counted in the next that can', async t => {
  const { lines, text } = logOf('ENOSPC', 'ENOSPC');
  lines.write('one\n');
  lines.write('two\n');
  lines.write('three\n');
  await lines.end();
  t.is(text(), '');
  lines.write('four\n');
  await lines.end();
  t.deepEqual(droppedIn(text()), [3]);
  t.true(text().endsWith('}\nfour\n'));
  lines.write('five\n');
  await lines.end();
  t.deepEqual(droppedIn(text()), [3]);
});

test('a line that was written in part counts as dropped, and the next begins on a line of its own', async t => {
  const { lines, text } = logOf(5, 'ENOSPC');
  lines.write('first\n');
  await lines.end();
  lines.write('second\n');
  lines.write('third\n');
  await lines.end();
  t.deepEqual(droppedIn(text()), [1]);
  t.regex(text(), /^first\n\{.*\}\nsecond\nthird\n$/);
});

test('a pipe that takes nothing for a moment loses nothing', async t => {
  const { lines, text } = logOf('EAGAIN', 2, 'EAGAIN');
  lines.write('one\n');
  await lines.end();
  t.is(text(), 'one\n');
});

test('a log that hangs keeps a limited number of lines, and who ends does not wait for it', async t => {
  let answer: (written: number) => void = () => {};
  const written: Uint8Array[] = [];
  const lines = new LogLines(bytes => {
    written.push(bytes);
    return written.length > 1
      ? Promise.resolve(bytes.length)
      : new Promise(resolve => {
          answer = resolve;
        });
  });
  const line = `${'x'.repeat(1_023)}\n`;
  for (let count = 0; count < 1_030; count += 1) lines.write(line);
  await lines.end();
  t.is(written.length, 1);
  answer(line.length);
  await lines.end();
  // The first was taken at once, 1024 waited, and the other five are told.
  const text = Buffer.concat(written).toString();
  t.is(text.split(line).length - 1, 1_025);
  t.deepEqual(droppedIn(text), [5]);
});
