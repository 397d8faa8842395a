import test, { type ExecutionContext } from 'ava';
import type { Context, JsonRecord } from '../../src/cli/context.js';
import { Progress } from '../../src/cli/progress.js';
import { until } from '../helpers/until.js';

test('kept bytes count as done, and say nothing about how long the rest takes', async t => {
  const records: JsonRecord[] = [];
  const context = { json: true, record: async (record: JsonRecord) => void records.push(record) };
  const total = { what: 'files', count: 10, bytes: 1000 };
  const progress = await Progress.start(context as unknown as Context, total);
  progress.step({ phase: 'write', count: 8, bytes: 0, keptBytes: 800 });
  // One a second is told.
  await until('a step is told', () => {
    progress.step({ phase: 'write', count: 9, bytes: 10, keptBytes: 800 });
    return records.length > 0;
  });
  const [last] = records;
  t.like(last, { files: 9, bytes: 810, total_bytes: 1000 });
  // 190 bytes at 10 bytes in this second, or in the next ones when the machine is slow.
  t.true(Number(last?.seconds_left) >= 19, JSON.stringify(last));
});

/** What the command shows on a terminal, from now on. */
function onTerminal(t: ExecutionContext): () => string {
  const { stderr } = process;
  const real = { isTTY: stderr.isTTY, write: stderr.write, term: process.env.TERM };
  let shown = '';
  const write = (text: string | Uint8Array): boolean => {
    shown += text;
    return true;
  };
  Object.assign(stderr, { isTTY: true, write });
  process.env.TERM = 'xterm';
  t.teardown(() => {
    Object.assign(stderr, { isTTY: real.isTTY, write: real.write });
    process.env.TERM = real.term ?? '';
  });
  return () => shown;
}

test.serial('on a terminal a bar shows how far it is, at which rate, and how long the rest takes', async t => {
  const shown = onTerminal(t);
  const total = { what: 'files', count: 10, bytes: 1000 };
  const progress = await Progress.start({ json: false } as unknown as Context, total);
  await until('a step is shown', () => {
    progress.step({ phase: 'write', count: 5, bytes: 10, keptBytes: 490 });
    return /50% \| 5\/10 files, 500 B \| [\d.]+ k?B\/s \| \d+ (s|min) left/.test(shown());
  });
  progress.wait(['attic', 'cellar']);
  await until('what it waits for is shown', () => shown().includes('waiting for attic or cellar'));
  progress.stop();
  t.true(shown().includes('\u001B[?25h'), 'the cursor is back');
});

test.serial('elsewhere a line now and then says the same, and once for which hosts it waits', async t => {
  const lines: string[] = [];
  const context = { json: false, note: (line: string) => void lines.push(line) };
  const progress = await Progress.start(context as unknown as Context, { what: 'files', count: 10, bytes: 1000 });
  for (let times = 0; times < 3; times += 1) progress.wait(['attic']);
  t.deepEqual(lines, ['waiting for attic, gone just now']);
  const from = performance.now();
  t.teardown(() => Object.assign(performance, { now }));
  const { now } = performance;
  for (const [afterMs, bytes] of [
    [0, 0],
    [9_000, 90],
    [11_000, 100],
    [12_000, 110],
  ] as const) {
    Object.assign(performance, { now: () => from + afterMs });
    progress.step({ phase: 'write', count: 1, bytes });
  }
  t.is(lines.length, 2);
  t.regex(lines[1] ?? '', /^write: 1\/10 files, 100 B of 1 kB, 9\.\d+ B\/s, 1 min left$/);
});
