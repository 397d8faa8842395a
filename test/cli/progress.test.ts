import test from 'ava';
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
