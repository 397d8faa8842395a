import test from 'ava';
import { Alarms } from '../../src/daemon/alarms.js';
import { DueRuns } from '../../src/daemon/due-runs.js';
import { aSource } from '../catalog/scratch-source.js';
import { SILENT } from '../store/real-store.js';

test('however often a watched source changes while the host is paused, one run waits for the end', async t => {
  const over: (() => void)[] = [];
  const pausing = { isPaused: true, whenOver: (call: () => void) => void over.push(call) };
  const clock = { nowMs: () => 0, wallMs: () => 0 };
  let runs = 0;
  const due = new DueRuns({
    source: aSource,
    catalog: { get: () => undefined },
    clock,
    pausing,
    alarms: new Alarms({ log: SILENT, wallMs: clock.wallMs }),
    log: SILENT,
    signal: new AbortController().signal,
    run: async () => {
      runs += 1;
    },
  });
  t.teardown(() => due.close());
  due.configure({ schedule: { kind: 'every', everyMs: 3_600_000 }, jitterMs: 0 } as never);
  for (let changes = 0; changes < 3; changes += 1) due.take();
  t.is(over.length, 1);
  t.is(runs, 0);
  pausing.isPaused = false;
  over[0]?.();
  t.is(runs, 1);
});
