import test from 'ava';
import { runWithoutOverride } from '../helpers/without-override.js';

const PROGRAM = new URL('./carried-over-run.js', import.meta.url);

interface Chain {
  readonly uncopied: number;
  readonly holder: 'there' | 'away' | 'noted' | 'never';
  /** Whether each listed snapshot has the file. */
  readonly are: readonly boolean[];
}

test('what cannot be read stays in each snapshot, however many lie between the copied one and the newest', t => {
  const chains = runWithoutOverride<Chain>(PROGRAM, 'chain');
  t.is(chains.length, 20);
  for (const { uncopied, holder, are } of chains) {
    const isIn = holder !== 'never';
    t.deepEqual(are, new Array(uncopied + 1).fill(isIn), `${uncopied} after one whose holder is ${holder}`);
  }
});

interface Month {
  readonly lost: readonly string[];
  readonly runs: number;
  readonly partial: number;
  readonly listed: number;
  readonly held: number;
  readonly heldAgain: boolean;
}

test('unreadable or unstable never becomes deleted, however long it lasts', t => {
  const [month] = runWithoutOverride<Month>(PROGRAM, 'month');
  t.like(month, { lost: [], runs: 90, partial: 90, heldAgain: true });
  t.true((month?.listed ?? 0) <= 5, 'retention runs');
  t.true((month?.held ?? 0) > 5, 'unlisted ones are in their hold');
});
