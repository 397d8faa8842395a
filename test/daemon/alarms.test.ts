import test from 'ava';
import { pino } from 'pino';
import { ALARMS_MAX, Alarms } from '../../src/daemon/alarms.js';

function someAlarms() {
  const lines: { readonly msg: string; readonly subject: string }[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const linesOf = (of: string) => lines.filter(({ subject }) => subject === of).map(({ msg }) => msg);
  return { alarms, linesOf };
}

test('an alarm for which there is no room is in the log once, and stands when there is room', t => {
  const { alarms, linesOf } = someAlarms();
  for (let n = 0; n < ALARMS_MAX; n += 1) alarms.raise('HOLDS_FULL', `${n}`, `${n} is full`);
  for (let looks = 0; looks < 3; looks += 1) alarms.raise('HOLDS_FULL', 'late', 'late is full');
  t.is(alarms.list().length, ALARMS_MAX);
  t.deepEqual(linesOf('late'), ['late is full']);
  alarms.raise('HOLDS_FULL', 'late', 'late is fuller');
  t.deepEqual(linesOf('late'), ['late is full', 'late is fuller']);
  alarms.clear('HOLDS_FULL', '0');
  alarms.raise('HOLDS_FULL', 'late', 'late is fuller');
  t.is(alarms.list().at(-1)?.text, 'late is fuller');
  t.is(linesOf('late').length, 2);
});

test('that one is over for which there was no room is in the log too, and the next is told anew', t => {
  const { alarms, linesOf } = someAlarms();
  for (let n = 0; n < ALARMS_MAX; n += 1) alarms.raise('HOLDS_FULL', `${n}`, `${n} is full`);
  alarms.raise('HOLDS_FULL', 'late', 'late is full');
  alarms.clear('HOLDS_FULL', 'late');
  alarms.clear('HOLDS_FULL', 'late');
  alarms.raise('HOLDS_FULL', 'late', 'late is full');
  t.deepEqual(linesOf('late'), ['late is full', 'alarm over', 'late is full']);
});
