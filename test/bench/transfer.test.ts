import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { atLeast, atMost, beside } from '../../sim/bench/figure.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { jsonLine, textLine } from './figure-lines.js';
import { figuresOf } from './transfer/figures.js';
import { Home } from './transfer/home.js';
import type { Usage } from './transfer/meter.js';
import { parseCpu, parseMemory } from './transfer/processes.js';
import { median, Results } from './transfer/results.js';
import { isNewEnough } from './transfer/ssh.js';
import { FIGURE_WIDTHS, tableLines } from './transfer/table.js';
import { homeSizes, makeChanged, makeTree } from './transfer/trees.js';
import { WORK_NAMES, withNeeds } from './transfer/works.js';

const usage = (wallS: number, more: Partial<Usage> = {}): Usage => ({
  wallS,
  wireBytes: 2_000_000,
  cpuS: 1,
  peakBytes: 50_000_000,
  ...more,
});

test('CPU seconds are read from /proc, whatever a program is called', t => {
  const line = '42 (a) b ( c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 300 100 20 0 12 0 5000 1 2';
  t.deepEqual(parseCpu(line), { ownS: 2, endedS: 4 });
});

test('memory is read from /proc, and what has ended has none', t => {
  const status = 'Name:\tnode\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n';
  t.is(parseMemory(status, 'VmHWM'), 2 * 1024 * 1024);
  t.is(parseMemory(status, 'VmRSS'), 1024 * 1024);
  t.is(parseMemory('', 'VmHWM'), 0);
});

test('rsync is new enough from 3.2.4 on', t => {
  const says = (version: string) => isNewEnough(`rsync  version ${version}  protocol version 32\nCopyright`);
  t.deepEqual(['3.2.3', '2.9.9', '3.1.9'].map(says), [false, false, false]);
  t.deepEqual(['3.2.4', '3.2.7', '3.10.0', 'v3.3.0', '4.0.0'].map(says), [true, true, true, true, true]);
  t.false(isNewEnough('openrsync: protocol version 29'));
});

test('the median of an even number is the mean of the middle two', t => {
  t.is(median([5, 1, 3]), 3);
  t.is(median([4, 1, 3, 2]), 2.5);
  t.is(median([]), Number.NaN);
});

test('a figure that misses its goal says so, and one without a goal says nothing', t => {
  const measured = { figure: 'home: wall / rsync', value: 1.23456, unit: 'ratio' };
  t.is(jsonLine(atMost(0.8, measured)), JSON.stringify({ ...measured, value: 1.235, goal: 0.8, holds: false }));
  t.is(jsonLine(beside(measured)), JSON.stringify({ ...measured, value: 1.235, goal: null, holds: null }));
  const widths = { figure: 20, unit: 6 };
  t.is(textLine(atLeast(1, measured), widths), 'home: wall / rsync      1.235 ratio  goal 1    holds');
  t.is(textLine(beside(measured), widths), 'home: wall / rsync      1.235 ratio');
});

test('medians are compared, without fsync, and what was not run is left out', t => {
  const results = new Results();
  for (const wallS of [9, 2, 3]) results.add('scatterhoard', 'mixed', usage(wallS));
  for (const wallS of [4, 8, 1]) results.add('rsync', 'mixed', usage(wallS));
  results.add('rsync --fsync', 'mixed', usage(6));
  const { extents } = new Home('/nowhere', 1 / 64);
  const figures = [...figuresOf(results, { ...extents, mixed: { files: 1, bytes: 800_000 } })];
  t.deepEqual(
    figures.map(({ figure, value, holds }) => [figure, value, holds]),
    [
      ['mixed home, first copy: wall / rsync', 0.75, true],
      ['mixed home, first copy: CPU / rsync and ssh', 1, true],
      ['mixed home, first copy: wall / rsync --fsync', 0.5, undefined],
      ['mixed home, first copy: wire / content moved', 1.25, false],
    ],
  );
});

test('every line for people fits 80 columns', t => {
  const results = new Results();
  for (const work of WORK_NAMES) {
    results.add('scatterhoard', work, usage(12_345.678, { wireBytes: 12e9, peakBytes: 5e9 }));
    results.add('rsync', work, usage(1));
    results.add('rsync --fsync', work, usage(1));
  }
  results.addRaw(1);
  results.addLoad({ overIdleBytes: 1e9, loop: { p99Ms: 50, maxMs: 100 } });
  const lines = tableLines(results);
  t.is(lines.length, 2 + 3 * WORK_NAMES.length);
  const figures = [...figuresOf(results, new Home('/nowhere', 1 / 64).extents)];
  t.deepEqual(
    [...lines, ...figures.map(figure => textLine(figure, FIGURE_WIDTHS))].filter(line => line.length > 80),
    [],
  );
});

test('a work brings what it needs, in the order of the works', t => {
  t.deepEqual(withNeeds(['changed']), ['large', 'changed']);
  t.deepEqual(withNeeds(['unchanged', 'restore']), ['mixed', 'restore', 'small', 'unchanged']);
});

test('sizes of a home are log-normal: the same each time, none empty, in all what was asked for', t => {
  const asked = { files: 2_000, bytes: 200_000_000 };
  const sizes = homeSizes(asked);
  t.deepEqual(homeSizes(asked), sizes);
  t.true(Math.min(...sizes) >= 1);
  t.true(Math.abs(sizes.reduce((sum, size) => sum + size, 0) - asked.bytes) < asked.files);
  // Its median lies far below its mean of 100 kB.
  const middle = median(sizes);
  t.true(middle > 4_000 && middle < 16_000, `${middle}`);
});

test('a tree is the same wherever it is made', async t => {
  const folder = temporaryFolder(t);
  for (const place of ['one', 'other']) {
    mkdirSync(join(folder, place));
    await makeTree(join(folder, place, 'tree'), [1, 70_000, 3_000_000]);
  }
  for (const [index, bytes] of [1, 70_000, 3_000_000].entries()) {
    const [one, other] = ['one', 'other'].map(place =>
      readFileSync(join(folder, place, `tree/part-0/folder-0/file-${index}`)),
    );
    t.is(one?.length, bytes);
    t.true(one?.equals(other ?? Buffer.alloc(0)));
  }
});

test('a changed file has 1 % of new bytes, a quarter of them inserted, and all that is old in its order', async t => {
  const folder = temporaryFolder(t);
  await makeTree(join(folder, 'tree'), [8_000_000]);
  const file = join(folder, 'tree/part-0/folder-0/file-0');
  await makeChanged(file, join(folder, 'changed'));
  const [before, after] = [readFileSync(file), readFileSync(join(folder, 'changed'))];
  // 40 places of 2,000 bytes.
  t.is(after.length, before.length + 10 * 2_000);
  // The first place is an insertion: what follows it is what stood there before.
  const at = 12_345;
  t.true(after.subarray(0, at).equals(before.subarray(0, at)));
  t.true(after.subarray(at + 2_000, 200_000).equals(before.subarray(at, 198_000)));
  // The last part is as it was.
  t.true(after.subarray(-100_000).equals(before.subarray(-100_000)));
});
