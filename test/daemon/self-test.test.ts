import test from 'ava';
import { pino } from 'pino';
import { type HostId, type ObjectId, type ParcelId, sourceIdOf } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import type { Drilled, DrillLimits } from '../../src/daemon/drill.js';
import { SelfTest } from '../../src/daemon/self-test.js';

const SOURCE = sourceIdOf('a'.repeat(32) as HostId, 'pics');
const MiB = 1024 * 1024;
const drilled = (name: string, failure?: Drilled['failure']): Drilled => ({
  parcel: name as ParcelId,
  path: Buffer.from(name),
  bytes: 3,
  ...(failure && { failure }),
});

/** By default no large file's turn comes. */
function aSelfTest(below = () => 1) {
  const logged: string[] = [];
  const log = pino({}, { write: (line: string) => void logged.push(JSON.parse(line).msg) });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const state = { found: [] as Drilled[], up: new Set<string>(), snapshot: 'ab'.repeat(32) as ObjectId | undefined };
  const asked: DrillLimits[] = [];
  const pausing = { isPaused: false };
  const test = new SelfTest({
    ownSources: () => [SOURCE],
    newestProtected: async () => state.snapshot,
    async *drill(_snapshot, most) {
      asked.push(most);
      const { bytes: bytesMax, moreThanBytes = 0 } = most;
      for (const one of state.found) if (one.bytes > moreThanBytes && one.bytes <= bytesMax) yield one;
    },
    below,
    hasReachableHolder: parcel => state.up.has(parcel),
    nameOf: () => 'pics',
    pausing,
    alarms,
    log,
    signal: new AbortController().signal,
  });
  return { test, state, asked, logged, pausing, told: () => alarms.list().map(({ code, text }) => `${code}: ${text}`) };
}

test('what does not come though a holder is up is an alarm until all comes again', async t => {
  const { test: selfTest, state, told } = aSelfTest();
  state.found = [drilled('one'), drilled('two', { because: 'nobody gave it', hosts: ['ben'] })];
  state.up.add('two');
  await selfTest.run();
  t.is(told().length, 1);
  t.regex(told()[0] ?? '', /SELF_TEST_FAILED: 1 of 2 files of pics could not be restored.*such as two \(ben\)/);
  state.found = [drilled('one')];
  await selfTest.run();
  t.deepEqual(told(), []);
});

test('a test in which nothing came ends no alarm, and of a parcel without a record the parcel is told', async t => {
  const { test: selfTest, state, told } = aSelfTest();
  state.found = [{ ...drilled('two', { because: 'no host gives the record', hosts: ['ben'] }), path: undefined }];
  state.up.add('two');
  await selfTest.run();
  t.regex(told()[0] ?? '', /such as all in parcel two \(ben\)/);
  state.found = [];
  await selfTest.run();
  t.is(told().length, 1);
});

test('hosts that are off are no alarm, and without a protected snapshot nothing is tried', async t => {
  const { test: selfTest, state, asked, told } = aSelfTest();
  state.found = [drilled('two', { because: 'no host that is up can give it', hosts: ['ben'] })];
  await selfTest.run();
  t.deepEqual(told(), []);
  t.is(asked.length, 1);
  t.true((asked[0]?.bytes ?? Infinity) < 2 ** 30, 'no film goes over the network for a test');
  state.snapshot = undefined;
  await selfTest.run();
  t.is(asked.length, 1);
});

test('a large file is tried now and then, and where there is no other; of one that is too large for a test the log tells', async t => {
  const large = { ...drilled('large', { because: 'nobody gave it', hosts: ['ben'] }), bytes: 600 * MiB };
  const seldom = aSelfTest();
  seldom.state.found = [drilled('one'), large];
  seldom.state.up.add('large');
  await seldom.test.run();
  t.deepEqual(seldom.told(), []);
  seldom.state.found = [large];
  await seldom.test.run();
  t.regex(seldom.told()[0] ?? '', /1 of 1 files of pics could not be restored.*such as large \(ben\)/);

  const turn = aSelfTest(() => 0);
  turn.state.found = [drilled('one'), large];
  turn.state.up.add('large');
  await turn.test.run();
  t.regex(turn.told()[0] ?? '', /1 of 2 files of pics/);

  seldom.state.found = [{ ...drilled('film'), bytes: 700 * MiB }];
  await seldom.test.run();
  t.regex(seldom.logged.at(-1) ?? '', /nothing could be restored as a test.*cluster drill/);
  t.is(seldom.told().length, 1, 'it ends no alarm');
});

test('a paused host tests nothing', async t => {
  const { test: selfTest, asked, pausing } = aSelfTest();
  pausing.isPaused = true;
  await selfTest.run();
  t.is(asked.length, 0);
  pausing.isPaused = false;
  await selfTest.run();
  t.true(asked.length > 0);
});
