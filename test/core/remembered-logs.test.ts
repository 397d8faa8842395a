import test from 'ava';
import { type LogPosition, logAfter, logStart } from '../../src/core/holdings-log.js';
import { parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { RememberedLogs } from '../../src/core/remembered-logs.js';

const STORE = parseStoreId('1'.repeat(32));
const EPOCH = { counter: 5, random: '00'.repeat(8) };

/** Positions 0 to `count` of a log. */
function log(count: number, { epoch = EPOCH, digit = 'a' } = {}): [LogPosition, ...LogPosition[]] {
  const positions: [LogPosition, ...LogPosition[]] = [logStart(STORE, epoch)];
  for (let at = positions[0]; positions.length <= count; positions.push(at))
    at = logAfter(at, { op: 'add', parcel: parseParcelId(digit.repeat(64)) });
  return positions;
}
const OURS = log(4);
const own = { end: OURS[4] as LogPosition, baseSeq: 0 };
const digestAt = (seq: number) => OURS[seq]?.digest;

function doubtOf(theirs: LogPosition, of = own) {
  const remembered = new RememberedLogs();
  remembered.hear(theirs);
  return remembered.doubt(of, digestAt);
}

test('what others remember and our log has is no doubt, and is forgotten', t => {
  for (const theirs of OURS) t.is(doubtOf(theirs), undefined);
  const remembered = new RememberedLogs();
  t.true(remembered.hear(OURS[2] as LogPosition));
  t.false(remembered.hear(OURS[2] as LogPosition));
  t.deepEqual(remembered.compared(own), [2]);
  remembered.doubt(own, digestAt);
  t.deepEqual(remembered.compared(own), []);
});

test('a later epoch, an operation beyond the end and another operation are doubts; an earlier epoch is none', t => {
  t.like(doubtOf(log(1, { epoch: { ...EPOCH, counter: 9 } })[1] as LogPosition), {
    because: 'later-epoch',
    counterSeen: 9,
  });
  t.is(doubtOf(log(9, { epoch: { ...EPOCH, counter: 4 } })[9] as LogPosition), undefined);
  t.like(doubtOf(log(5)[5] as LogPosition), { because: 'beyond-end', counterSeen: 5 });
  t.like(doubtOf(log(3, { digit: 'b' })[3] as LogPosition), { because: 'other-operation' });
});

test('of what a checkpoint stands for nothing can be told', t => {
  const other = log(3, { digit: 'b' });
  t.is(doubtOf(other[2] as LogPosition, { ...own, baseSeq: 3 }), undefined);
  t.like(doubtOf(other[3] as LogPosition, { ...own, baseSeq: 3 }), { because: 'other-operation' });
});

test('what was heard while digests were read waits for the next time, and what speaks against the log speaks on', t => {
  const remembered = new RememberedLogs();
  remembered.hear(log(3, { digit: 'b' })[3] as LogPosition);
  t.is(
    remembered.doubt(own, () => undefined),
    undefined,
  );
  for (let times = 0; times < 2; times += 1) t.like(remembered.doubt(own, digestAt), { because: 'other-operation' });
});
