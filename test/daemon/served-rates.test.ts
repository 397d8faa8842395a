/** Served rates: who gives way when places are short. */
import test from 'ava';
import { endSlowest, ServedRate } from '../../src/daemon/served-rates.js';

const MINUTE_MS = 60_000;

/** One that has moved so many bytes in its first minute, and as many since. */
function served(name: string, bytes: number) {
  const rate = new ServedRate(0);
  rate.moves(bytes, MINUTE_MS);
  return { name, rate };
}

const fast = () => [served('a', 90_000_000), served('b', 80_000_000), served('c', 100_000_000)];

test('one that hardly moves beside the others gives way, and is told so at once', t => {
  const slow = served('slow', 1_000_000);
  const all = [...fast(), slow];
  t.false(slow.rate.ended.aborted);
  t.is(endSlowest(all, all, MINUTE_MS)?.name, 'slow');
  t.regex(String(slow.rate.ended.reason), /others wait/);
});

test('one that is given nothing for longer than a minute is as slow as that', t => {
  const stands = served('stands', 90_000_000);
  const others = fast();
  for (const { rate } of others) rate.moves(90_000_000, 4 * MINUTE_MS);
  const all = [...others, stands];
  t.is(endSlowest(all, all, 4.5 * MINUTE_MS)?.name, 'stands');
});

test('one that asked for nothing for a while is not slow for that', t => {
  const rested = served('rested', 90_000_000);
  rested.rate.rests(MINUTE_MS);
  rested.rate.goesOn(4 * MINUTE_MS);
  const others = fast();
  for (const { rate } of others) rate.moves(90_000_000, 4 * MINUTE_MS);
  const all = [...others, rested];
  t.is(endSlowest(all, all, 4.5 * MINUTE_MS), undefined);
});

test('nobody gives way who is as slow as most, or young, or has no place that is asked for', t => {
  const slow = served('slow', 1_000_000);
  const alike = [slow, served('also slow', 1_100_000), served('fast', 90_000_000)];
  t.is(endSlowest(alike, alike, MINUTE_MS), undefined);
  const young = { name: 'young', rate: new ServedRate(MINUTE_MS) };
  young.rate.moves(1, 1.5 * MINUTE_MS);
  t.is(endSlowest([young, ...fast()], [young, ...fast()], 1.9 * MINUTE_MS), undefined);
  t.is(endSlowest([young], [...fast(), slow], MINUTE_MS), undefined);
  t.is(endSlowest([slow], [slow], MINUTE_MS), undefined, 'alone it is the median');
  t.false(slow.rate.ended.aborted);
});
