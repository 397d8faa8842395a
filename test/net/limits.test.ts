import test from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { BAN_MS, OFFENCE_WINDOW_MS, OFFENCES_MAX, Offences } from '../../src/net/offences.js';
import { TokenBucket } from '../../src/net/token-bucket.js';

const ANN = '12D3KooWAnn' as PeerName;

test('a bucket gives its burst, then its rate, and never more than its burst after a pause', t => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 3, nowMs: 0 });
  const taken = (nowMs: number): number => {
    let count = 0;
    while (bucket.take(1, nowMs)) count++;
    return count;
  };
  t.is(taken(0), 3);
  t.is(taken(99), 0);
  t.is(taken(100), 1);
  t.is(taken(1_000_000), 3);
  t.is(taken(0), 0, 'a clock that goes back gives nothing');
});

test('the tenth offence within ten minutes bans for ten minutes', t => {
  const offences = new Offences();
  for (let i = 1; i < OFFENCES_MAX; i++) t.false(offences.count(ANN, i));
  t.false(offences.isBanned(ANN, 10));
  t.true(offences.count(ANN, 10));
  t.true(offences.isBanned(ANN, 10 + BAN_MS - 1));
  t.false(offences.isBanned(ANN, 10 + BAN_MS));
});

test('offences that are far apart never ban', t => {
  const offences = new Offences();
  for (let i = 0; i < 100; i++) t.false(offences.count(ANN, i * Math.ceil(OFFENCE_WINDOW_MS / (OFFENCES_MAX - 1))));
});
