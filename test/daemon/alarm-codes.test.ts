/** Alarm codes: each that there is stands in the operator's document, in the same words, and is one that the service can raise. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ALARM_CODES, type AlarmMeaning } from '../../src/daemon/alarm-codes.js';

/** Where npm runs the tests. */
const ROOT = process.cwd();
const DAEMON = join(ROOT, 'src/daemon');

test('deploy/ALARMS.md prints the table of alarms: each, in its words, and no other', t => {
  const printed = readFileSync(join(ROOT, 'deploy/ALARMS.md'), 'utf8').match(/^\| `.*$/gm) ?? [];
  const rows = Object.entries<AlarmMeaning>(ALARM_CODES).map(
    ([code, { means, remedy }]) => `| \`${code}\` | ${means} | ${remedy} |`,
  );
  t.deepEqual(printed, rows);
});

test('alarms stand by the alphabet', t => {
  t.deepEqual(Object.keys(ALARM_CODES), Object.keys(ALARM_CODES).sort());
});

test('no alarm has a meaning that nothing raises', t => {
  const sources = readdirSync(DAEMON)
    .filter(name => name.endsWith('.ts') && name !== 'alarm-codes.ts')
    .map(name => readFileSync(join(DAEMON, name), 'utf8'))
    .join('\n');
  t.deepEqual(
    Object.keys(ALARM_CODES).filter(code => !sources.includes(`'${code}'`)),
    [],
  );
});
