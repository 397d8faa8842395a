/** The plan of a seed: known beforehand, the same each time, and never more at once than what copies are promised for. */
import test from 'ava';
import { FAULTS } from './faults.js';
import { COPIES, SOURCES } from './house.js';
import { planOf, type Round } from './plan.js';

const ALL = { hasNetwork: true, hasMounts: true };
const SEEDS = Array.from({ length: 40 }, (_, n) => n);
const ROUNDS = 20;

const roundsOf = (seed: number, surroundings = ALL): Round[] => {
  const plan = planOf(seed, surroundings);
  return Array.from({ length: ROUNDS }, () => plan.next().value);
};
/** All that a plan says; what a fault does is a function, and its text says what was drawn for it. */
const textOf = (rounds: readonly Round[]): string => JSON.stringify(rounds);
const faultsOf = (rounds: readonly Round[]) => rounds.flatMap(({ steps }) => steps.map(({ fault }) => fault));

test('the same seed plans the same, and another one something else', t => {
  t.is(textOf(roundsOf(7)), textOf(roundsOf(7)));
  t.not(textOf(roundsOf(7)), textOf(roundsOf(8)));
});

test('every fault comes before long', t => {
  const words = faultsOf(roundsOf(7)).map(({ text }) => text.replaceAll(/\b[a-e]\b|\d+/g, '#'));
  // Two of them have two ways to end, and one two numbers.
  t.true(new Set(words).size >= Object.keys(FAULTS).length, [...new Set(words)].join('\n'));
});

test('where there are no cables and no mounts, nothing that needs them is planned', t => {
  const needs = /cable|nothing goes|is full/;
  const without = SEEDS.flatMap(seed => faultsOf(roundsOf(seed, { hasNetwork: false, hasMounts: false })));
  t.deepEqual(
    without.filter(({ text }) => needs.test(text)),
    [],
  );
  t.true(faultsOf(roundsOf(7)).some(({ text }) => needs.test(text)));
});

test('at most one machine is down, nothing is asked of it, and one machine is harmed in a round', t => {
  for (const { steps } of SEEDS.flatMap(seed => roundsOf(seed))) {
    let down: string | undefined;
    const harmed = new Set<string>();
    for (const { backups, fault } of steps) {
      const { text, harms } = fault;
      for (const source of backups) t.not(SOURCES[source], down as never, text);
      const [machine = ''] = /\b[a-e]\b/.exec(text) ?? [];
      if (harms !== undefined) harmed.add(harms);
      if (/^(kill|stop) ./.test(text)) t.is(down, undefined, text);
      if (/, down$/.test(text)) down = machine;
      else if (/comes back$/.test(text)) {
        t.is(machine, down as never);
        down = undefined;
      } else if (down !== undefined && !/^rot|is full|^drain/.test(text)) {
        t.notRegex(text, new RegExp(`\\b${down}\\b`));
      }
    }
    t.true(harmed.size <= 1, [...harmed].join());
  }
});

test('copies are raised and lowered in turn within a round', t => {
  for (const { steps } of roundsOf(7)) {
    const said = steps.flatMap(({ fault }) => /^(\d) copies/.exec(fault.text)?.[1] ?? []).map(Number);
    t.deepEqual(
      said,
      said.map((_, n) => COPIES + ((n + 1) % 2)),
    );
  }
});
