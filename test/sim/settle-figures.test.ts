import test from 'ava';
import { settleFigures } from '../../sim/bench/settle-figures.js';

const settled = { seconds: 110, boundS: 100, wasted: 0.001, events: 2_000_000, short: 0 };

test('a bulk start of 200 hosts is to end within five minutes of a processor, and says what it took', t => {
  for (const [cpuS, holds] of [
    [300, true],
    [301, false],
  ] as const) {
    const figures = settleFigures(settled, { hosts: 200, parcels: 10_000, cpuS });
    t.deepEqual(figures.at(-1), {
      figure: 'CPU time of the simulator, 200 hosts, 10000 parcels',
      value: cpuS,
      unit: 's',
      goal: 300,
      holds,
    });
  }
});

test('what did not settle has missed its time', t => {
  const figures = (short: number) => settleFigures({ ...settled, short }, { hosts: 50, parcels: 10_000, cpuS: 10 });
  t.deepEqual(
    figures(0).map(({ value, holds }) => [value, holds]),
    [
      [1.1, true],
      [0.1, true],
      [200_000, true],
    ],
  );
  t.is(figures(1)[0]?.holds, false);
});
