import test from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import { cluster, recordsOf, serve } from './cli-fixture.js';

const UNTIL_MS = Date.UTC(2026, 6, 1, 14, 30);

test('pause says until when, and resume whether there was anything to end', async t => {
  const asked: number[] = [];
  let wasPaused = true;
  const stateDir = await serve(t, {
    pause: async ({ forMs }) => {
      asked.push(forMs);
      return { untilMs: UNTIL_MS };
    },
    resume: async () => ({ wasPaused }),
  });
  const run = (...words: readonly string[]) => cluster(['--state', stateDir, ...words]);
  t.deepEqual(await run('pause', '2h'), {
    code: 0,
    out: "paused until 2026-07-01 14:30:00; 'cluster resume' ends it\n",
    err: '',
  });
  t.deepEqual(recordsOf((await run('pause', '90m', '--json')).out), [
    { message_type: 'pause', paused_until: '2026-07-01T14:30:00.000Z' },
  ]);
  t.deepEqual(asked, [2 * 3_600_000, 90 * 60_000]);
  t.is((await run('resume')).out, 'the pause is over\n');
  wasPaused = false;
  t.is((await run('resume')).out, 'there was no pause\n');
  t.deepEqual(recordsOf((await run('resume', '--json')).out), [
    { message_type: 'pause', paused_until: null, was_paused: false },
  ]);
});

test('pause wants a duration, and one that is too long is refused with 2', async t => {
  const stateDir = await serve(t, {
    pause: async () => {
      throw new ClusterError('BAD_DURATION', 'the longest pause is 72h', { blame: 'operator' });
    },
  });
  for (const words of [['pause'], ['pause', 'soon'], ['pause', '0s'], ['pause', '73h']])
    t.is((await cluster(['--state', stateDir, ...words])).code, 2, words.join(' '));
});
