import test from 'ava';
import { addCounts, noCounts } from '../../sim/counts.js';
import { drawRun } from '../../sim/run-options.js';
import { runSeed } from '../../sim/run-seed.js';
import { whatIsWasted } from '../../sim/thrift.js';

test('the same seed gives the same chain of state hashes', t => {
  const run = () => runSeed(drawRun(3), { hashes: true });
  const first = run();
  t.true(first.links.length > 1);
  t.deepEqual(run(), first);
});

test('a fault that is left out shifts no other', t => {
  const { faults } = drawRun(3);
  t.deepEqual(faults, drawRun(3).faults);
  t.is(new Set(faults.map(({ id }) => id)).size, faults.length);
});

test('pauses last from a part of a second to two days, and the phase with faults until they have ended', t => {
  const lengths: number[] = [];
  for (let seed = 1; seed <= 1_000; seed += 1) {
    const { faults, safetyMs, paceMs } = drawRun(seed);
    for (const { kind, atMs, forMs } of faults) {
      if (kind !== 'pause' && kind !== 'suspend') continue;
      lengths.push(forMs);
      t.true(atMs + forMs + paceMs <= safetyMs);
    }
  }
  t.true(Math.min(...lengths) < 200);
  const longestHours = Math.max(...lengths) / 3_600_000;
  t.true(longestHours > 40 && longestHours <= 48, `${longestHours}`);
});

test('a few seeds with all faults hold every invariant and come to rest', t => {
  for (const seed of [1, 2, 4, 5, 8]) t.is(runSeed(drawRun(seed)).failed, undefined, `seed ${seed}`);
});

test('members are taken out, and N is changed, in the middle of attempts to drop', t => {
  const counts = noCounts();
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8])
    addCounts(counts, runSeed(drawRun(seed, { favours: ['revoke', 'drain', 'copies'] })).counts);
  t.true(counts.membersOutAmidDrop >= 3, `${counts.membersOutAmidDrop} members`);
  t.true(counts.copiesAmidDrop >= 3, `${counts.copiesAmidDrop} changes`);
});

test('with all in order new parcels cost what they need, and without claims and turns far more', t => {
  const [options, counts] = [drawRun(21), noCounts()];
  const outcome = runSeed(options);
  t.is(outcome.failed, undefined);
  addCounts(counts, outcome.counts);
  t.true(counts.thriftyCopies > 10);
  t.is(whatIsWasted(counts), undefined);
  t.regex(runSeed(options, { greedy: true }).failed?.message ?? '', /^I11: .* % came beyond/);
});

test('of what new parcels need one part in a hundred may be wasted', t => {
  t.is(whatIsWasted({ neededBytes: 1_000, needlessBytes: 10 }), undefined);
  t.regex(whatIsWasted({ neededBytes: 1_000, needlessBytes: 11 }) ?? '', /^1\.1 % came/);
});

test('what nothing tells of is seen when the phase ends, however few events it had', t => {
  const options = drawRun(6);
  let isDone = false;
  const outcome = runSeed(options, {
    trace: (_, { nowMs, hosts }) => {
      if (isDone || nowMs < options.safetyMs * 0.95) return;
      for (const { stores } of hosts) {
        for (const store of stores) {
          const [parcel] = store.present;
          if (isDone || parcel === undefined || !store.keeps(parcel)) continue;
          isDone = true;
          store.files.delete(parcel);
        }
      }
    },
  });
  t.is(outcome.failed?.by, 'I1');
  t.regex(outcome.failed?.message ?? '', /went without a drop/);
  t.is(outcome.atMs, options.safetyMs);
  t.true(outcome.events < 10_000);
});
