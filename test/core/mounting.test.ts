import test from 'ava';
import type { Epoch } from '../../src/core/holdings-log.js';
import { counterAbove, decideMount, type MountView } from '../../src/core/mounting.js';

const epoch = (counter: number, random = 'a'): Epoch => ({ counter, random });

/** A store whose log has 7 operations, which the index followed; mounted at the start before this one. */
function judged({
  log,
  marker,
  remembered,
  ...changes
}: {
  readonly [Key in keyof MountView]?: MountView[Key] extends object ? Partial<MountView[Key]> : MountView[Key];
} = {}): ReturnType<typeof decideMount> {
  return decideMount({
    boot: 5,
    previousBoot: 4,
    wallMs: 1_000,
    doubt: undefined,
    ...changes,
    marker: { boot: 4, epoch: epoch(50), ...marker },
    log: { kind: 'sound', end: { epoch: epoch(50), seq: 7 }, hasRemembered: true, ...log } as MountView['log'],
    remembered: { boots: [4], position: { epoch: epoch(50), seq: 7 }, ...remembered },
  } as MountView);
}

test('a log that has what is remembered, of the start that is remembered, is believed', t => {
  t.deepEqual(judged(), { act: 'believe' });
});

test('a marker of another start than is remembered is an old image, or the state folder is one', t => {
  for (const boot of [3, 5, 6]) t.like(judged({ marker: { boot } }), { because: 'other-boot' });
  t.like(judged({ marker: { boot: 3 }, remembered: { boots: [3, 4] } }), { act: 'believe' });
});

test('where the index knows nothing of the store it must be of the start before', t => {
  const remembered = { boots: [], position: undefined };
  t.like(judged({ remembered }), { act: 'believe' });
  t.like(judged({ remembered, marker: { boot: 3 } }), { because: 'other-boot' });
});

test('a store that was made in this start is believed as long as its log says nothing', t => {
  const made = { marker: { boot: 5 }, remembered: { boots: [], position: undefined } };
  t.like(judged({ ...made, log: { end: { epoch: epoch(50), seq: 0 } } }), { act: 'believe' });
  t.like(judged(made), { because: 'other-boot' });
});

test('a log that is damaged, of another epoch than its marker, or that lacks what is remembered is in doubt', t => {
  t.like(judged({ log: { kind: 'damaged', epoch: undefined } as never }), { because: 'damaged' });
  t.like(judged({ marker: { epoch: epoch(51) } }), { because: 'other-epoch' });
  t.like(judged({ remembered: { position: { epoch: epoch(51), seq: 0 } } }), { because: 'earlier-epoch' });
  t.like(judged({ log: { hasRemembered: false } as never }), { because: 'lacks-remembered' });
  // What was followed of an earlier epoch says nothing of this one; and nothing was.
  for (const position of [{ epoch: epoch(49), seq: 9 }, undefined])
    t.like(judged({ log: { hasRemembered: false } as never, remembered: { position } }), { act: 'believe' });
});

test('an epoch that begins is above all that anybody has seen of the store, and above the wall clock', t => {
  const other = { marker: { boot: 3 } };
  t.like(judged(other), { act: 'begin-epoch', counter: 1_001 });
  t.like(judged({ marker: { boot: 3, epoch: epoch(2_000) } }), { counter: 2_001 });
  t.like(judged({ ...other, log: { end: { epoch: epoch(3_000), seq: 7 } } }), { counter: 3_001 });
  t.like(judged({ ...other, log: { kind: 'damaged', epoch: epoch(3_500) } as never }), { counter: 3_501 });
  t.like(judged({ ...other, remembered: { position: { epoch: epoch(4_000), seq: 1 } } }), { counter: 4_001 });
  t.like(judged({ doubt: { counterSeen: 5_000 } }), { because: 'others-remember', counter: 5_001 });
  t.is(counterAbove([1, 7, 3]), 8);
});
