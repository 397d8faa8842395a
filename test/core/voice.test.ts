import test from 'ava';
import { type LogOp, logAfter, logStart } from '../../src/core/holdings-log.js';
import { parseHostId, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { Voice } from '../../src/core/voice.js';

const HEARTBEAT_MS = 5_000;

/** A voice that is told of one operation after the other. */
function aVoice() {
  const voice = new Voice();
  let end = logStart(parseStoreId('2'.repeat(32)), { counter: 1, random: '00'.repeat(8) });
  /** `times`: the same operation so often, all at once. */
  const tell = (nowMs: number, times = 1): void => {
    const op: LogOp = { op: 'add', parcel: parseParcelId(end.seq.toString(16).padStart(64, '0')) };
    end = logAfter(end, op);
    const ops = Array.from({ length: times }, () => op);
    const segment = { host: parseHostId('1'.repeat(32)), end, ops, signature: new Uint8Array(64) };
    voice.tell(segment, ops, { nowMs, heartbeatMs: HEARTBEAT_MS });
  };
  const said = (nowMs: number): number =>
    voice
      .speak({ nowMs, all: false })
      .reduce((sum, message) => sum + (message.kind === 'log' ? message.segment.ops.length : 0), 0);
  return { voice, tell, said };
}

test('while more operations are about to come, they are announced twice a second', t => {
  const { voice, tell, said } = aVoice();
  tell(1_000);
  t.is(said(1_000), 0);
  tell(1_400);
  t.is(voice.dueMs, 1_500);
  t.is(said(1_499), 0);
  t.is(said(1_500), 2);
  t.is(voice.dueMs, Number.POSITIVE_INFINITY);
});

test('when no more are about to come they are announced at once, but never more often than twice a second', t => {
  const { voice, tell, said } = aVoice();
  voice.hurry(900);
  t.is(voice.dueMs, Number.POSITIVE_INFINITY, 'there is nothing to announce');
  tell(1_000);
  tell(1_100);
  voice.hurry(1_100);
  t.is(said(1_100), 2);
  tell(1_200);
  voice.hurry(1_200);
  t.is(voice.dueMs, 1_600);
  t.is(said(1_599), 0);
  t.is(said(1_600), 1);
});

test('any number of operations may come at once', t => {
  const { voice, tell } = aVoice();
  tell(1_000);
  tell(1_100, 200_000);
  t.true(voice.speak({ nowMs: 1_500, all: true }).length > 0);
});
