/** Or aborted: waits that a signal ends, and what is left of them. */
import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { orAborted } from '../../src/platform/or-aborted.js';
import { until } from '../helpers/until.js';

test('a wait ends as its work does, or with the signal, and listens no longer than that', async t => {
  const abort = new AbortController();
  t.is(await orAborted(Promise.resolve(1), abort.signal), 1);
  await t.throwsAsync(orAborted(Promise.reject(new Error('no')), abort.signal), { message: 'no' });
  t.is(getEventListeners(abort.signal, 'abort').length, 0);
  const waiting = orAborted(new Promise(() => {}), abort.signal);
  abort.abort(new Error('enough'));
  await t.throwsAsync(waiting, { message: 'enough' });
  await t.throwsAsync(orAborted(Promise.resolve(1), abort.signal), { message: 'enough' });
  t.is(getEventListeners(abort.signal, 'abort').length, 0);
});

test('what came of many waits for one signal is not kept by it', async t => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { signal } = new AbortController();
  let left = 0;
  const seen = new FinalizationRegistry(() => {
    left -= 1;
  });
  for (let n = 0; n < 50; n += 1) {
    const part = await orAborted(Promise.resolve(new Uint8Array(1024)), signal);
    seen.register(part, undefined);
    left += 1;
  }
  await until('nearly all of them are collected', () => {
    collect();
    return left <= 2;
  });
  t.false(signal.aborted);
});
