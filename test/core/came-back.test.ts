import test from 'ava';
import { decideReturn, type ReturnView } from '../../src/core/came-back.js';
import { type LogPosition, logStart } from '../../src/core/holdings-log.js';
import { parseStoreId } from '../../src/core/ids.js';

const EPOCH = { counter: 7, random: 'aa'.repeat(8) };
const position = (store: string, seq: number, epoch = EPOCH): LogPosition => ({
  ...logStart(parseStoreId(store.repeat(32)), epoch),
  seq,
});
const view = (change: Partial<ReturnView>): ReturnView => ({
  before: [position('a', 5), position('b', 3)],
  now: [position('b', 3), position('a', 6)],
  companyMs: 60_001,
  doubtMs: 60_000,
  ...change,
});

test('a host that lists all its stores again, with the same logs or longer ones, has been away as it may', t => {
  t.deepEqual(decideReturn(view({})), { act: 'learn' });
  t.deepEqual(decideReturn(view({ now: [position('c', 0), position('b', 3), position('a', 5)] })), { act: 'learn' });
  t.deepEqual(decideReturn(view({ before: [], now: [] })), { act: 'learn' });
});

test('a store that is not listed yet is waited for', t => {
  t.deepEqual(decideReturn(view({ now: [position('a', 5)] })), { act: 'wait', because: 'store-missing' });
});

test('who comes back with another log, or a shorter one, did not come back with its copies', t => {
  const replaced = position('a', 9, { counter: 8, random: 'bb'.repeat(8) });
  t.deepEqual(decideReturn(view({ now: [replaced, position('b', 3)] })), { act: 'forget', because: 'log-replaced' });
  t.deepEqual(decideReturn(view({ now: [position('a', 4), position('b', 3)] })), { act: 'forget', because: 'log-cut' });
});

test('nothing is learned while nobody else was there: it may be we who were away', t => {
  t.deepEqual(decideReturn(view({ companyMs: 60_000 })), { act: 'forget', because: 'alone' });
});

test('nothing is learned of a host that was never met', t => {
  t.deepEqual(decideReturn(view({ before: undefined })), { act: 'forget', because: 'never-met' });
});
