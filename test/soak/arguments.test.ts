/** The soak's arguments: what cannot be meant ends it before anything is started. */
import test from 'ava';
import { UsageError } from '../../sim/run-arguments.js';
import { readArguments } from './arguments.js';

test('a seed and minutes are whole numbers, and both have defaults', t => {
  t.deepEqual(readArguments(['--seed', '7', '--minutes', '30']), { seed: 7, minutes: 30 });
  t.deepEqual(readArguments(['--seed=0', '--minutes=1']), { seed: 0, minutes: 1 });
  t.deepEqual(readArguments([]), { seed: undefined, minutes: 10 });
});

for (const words of [
  ['--minutes', '0'],
  ['--minutes', '-1'],
  ['--minutes', '1.5'],
  ['--minutes'],
  ['--seed', 'x'],
  ['--seed', ''],
  ['--nosuch'],
  ['7'],
])
  test(`soak ${JSON.stringify(words)} is refused`, t => {
    t.throws(() => readArguments(words), { instanceOf: UsageError });
  });
