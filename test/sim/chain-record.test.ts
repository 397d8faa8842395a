/** Chain record: a seed gives the chain that was recorded of it, and what differs is named. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { chainOfSeed, firstDifference, readChains } from '../../sim/chain-record.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

/** Short ones. */
const SEEDS = [4, 5, 6];

for (const seed of SEEDS) {
  test(`seed ${seed} gives the chain that was recorded`, t => {
    t.is(firstDifference(chainOfSeed(seed), readChains().get(seed) as string), undefined);
  });
}

test('the first link that differs is named', t => {
  t.regex(
    firstDifference('00000001 00000002', '00000001 00000003') ?? '',
    /^link 1 is 00000002 and was 00000003: .* 1000 /,
  );
  t.regex(firstDifference('00000001', '00000001 00000003') ?? '', /^link 1 is missing and was 00000003/);
  t.is(firstDifference('00000001', '00000001'), undefined);
});

test('a record that is missing or damaged says so, and how to make another', async t => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'chain.json');
  t.throws(() => readChains(file), { message: /cannot be read .*hashes --save yes/ });
  for (const [text, says] of [
    ['{', /cannot be read/],
    ['{}', /holds no chains/],
    ['null', /holds no chains/],
    ['{"1": "xyz"}', /the chain of seed 1 is damaged/],
    ['{"one": "00000001"}', /the chain of seed one is damaged/],
  ] as const) {
    await writeFile(file, text);
    t.throws(() => readChains(file), { message: says });
  }
});
