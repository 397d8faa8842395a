import test from 'ava';
import fc from 'fast-check';
import {
  comesBefore,
  type IdWords,
  negativeLog2,
  pairHash,
  scoreOf,
  WEIGHT_MIB_MAX,
} from '../../src/core/rendezvous.js';
import { law } from '../helpers/law.js';

const words = fc.tuple(fc.integer(), fc.integer(), fc.integer(), fc.integer());
const weight = fc.integer({ min: 1, max: WEIGHT_MIB_MAX });

test('the fixed-point logarithm is right to three units in 2^20 over its whole range', t => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), h => {
      const exact = -Math.log2((h + 0.5) / 2 ** 32) * 2 ** 20;
      return Math.abs(negativeLog2(h) - exact) <= 3;
    }),
    { numRuns: 2000 },
  );
  t.true(negativeLog2(2 ** 32 - 1) >= 0);
});

test('the logarithm never rises when its number does', t => {
  law(
    t,
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 2 }), h => negativeLog2(h) >= negativeLog2(h + 1)),
  );
});

test('the order of hosts is strict and the same from both sides', t => {
  law(
    t,
    fc.property(words, words, words, weight, weight, (key, a, b, weightA, weightB) => {
      const one = scoreOf(key as IdWords, a as IdWords, 'a', weightA);
      const other = scoreOf(key as IdWords, b as IdWords, 'b', weightB);
      return comesBefore(one, other) !== comesBefore(other, one) && !comesBefore(one, one);
    }),
  );
});

test('products of logarithm and weight stay exact', t => {
  t.true(Number.isSafeInteger(negativeLog2(0) * WEIGHT_MIB_MAX));
});

test('a host gets parcels in proportion to its weight, within a twentieth', t => {
  const weights = [1000, 2000, 4000, 16_000];
  const firsts = weights.map(() => 0);
  const keys = 40_000;
  for (let i = 0; i < keys; i += 1) {
    const key: IdWords = [Math.imul(i, 0x9e37_79b1), i, ~i, Math.imul(i, 77)];
    let best = 0;
    const scores = weights.map((weightMiB, host) => scoreOf(key, [host, host * 3, 5, 7], String(host), weightMiB));
    for (let host = 1; host < weights.length; host += 1) {
      if (comesBefore(scores[host] as never, scores[best] as never)) best = host;
    }
    firsts[best] = (firsts[best] ?? 0) + 1;
  }
  for (const [host, weightMiB] of weights.entries()) {
    const fair = (keys * weightMiB) / 23_000;
    t.true(Math.abs((firsts[host] ?? 0) - fair) < fair / 20 + 100, `host ${host}: ${firsts[host]} against ${fair}`);
  }
});

test('ranks are pinned: another build or platform must compute the same', t => {
  t.is(pairHash([1, 2, 3, 4], [5, 6, 7, 8]), PINNED_PAIR_HASH);
  t.is(negativeLog2(123_456_789), 5_369_307);
});

/** Changing the hash moves every parcel of every cluster: only a new protocol version may. */
const PINNED_PAIR_HASH = 1683222124;
