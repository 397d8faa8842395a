import { getEventListeners } from 'node:events';
import test from 'ava';
import { abortWith } from '../../src/platform/abort-with.js';

test('a controller is aborted with the first of the signals, for the same reason, also when that was before', t => {
  const [one, two] = [new AbortController(), new AbortController()];
  const [now, later] = [new AbortController(), new AbortController()];
  abortWith(later, [one.signal, undefined, two.signal]);
  t.false(later.signal.aborted);
  two.abort('why');
  one.abort('other');
  t.is(later.signal.reason, 'why');
  abortWith(now, [two.signal]);
  t.is(now.signal.reason, 'why');
});

test('what is undone leaves nothing at a signal that lives on, and aborts no more', t => {
  const [lasting, before] = [new AbortController(), AbortSignal.abort('over')];
  const controller = new AbortController();
  const undo = abortWith(controller, [lasting.signal]);
  t.is(getEventListeners(lasting.signal, 'abort').length, 1);
  undo();
  t.is(getEventListeners(lasting.signal, 'abort').length, 0);
  lasting.abort('too late');
  t.false(controller.signal.aborted);
  abortWith(new AbortController(), [before])();
  t.is(getEventListeners(before, 'abort').length, 0);
});
