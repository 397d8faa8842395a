import test from 'ava';
import { decideFork, type ForkedVersion, goesBefore } from '../../src/core/config-fork.js';

const version = (hash: string, signer: string, ...admins: readonly string[]): ForkedVersion => ({
  hash,
  signer,
  admins: admins.map(key => ({ key })),
});
const parent = version('root', 'first', 'first', 'second');
const by = (signer: string, hash: string, ...admins: readonly string[]): ForkedVersion =>
  version(hash, signer, ...(admins.length === 0 ? ['first', 'second'] : admins));

test('of two successors the one whose signer stands first among the admins wins; of one signer the lower hash', t => {
  const [a, c] = [by('first', '5'), by('first', '7')];
  for (const hash of ['3', '9']) {
    const b = by('second', hash);
    t.is(decideFork(parent, [a], [b]), 'a');
    t.is(decideFork(parent, [b], [a]), 'b');
  }
  t.is(decideFork(parent, [a], [c]), 'a');
  t.is(decideFork(parent, [c], [a]), 'b');
});

test('a branch that takes an admin out, early or late, goes before one that does not; if both do, the order stands', t => {
  const stolen = by('first', '1');
  const revenge = by('first', '3', 'first');
  const branches = [
    [by('second', '5', 'second')],
    [by('second', '5'), by('second', '6', 'second')],
    [by('second', '5', 'second'), by('second', '6', 'second')],
  ] as const;
  for (const branch of branches) {
    t.is(decideFork(parent, branch, [stolen, by('first', '2')]), 'a');
    t.is(decideFork(parent, [stolen], branch), 'b');
    t.is(decideFork(parent, branch, [revenge]), 'b');
  }
  t.is(decideFork(parent, [by('second', '5')], [stolen]), 'b');
});

test('what goes on from the end of ours is taken, what we have already is not, and of two branches the one that stands', t => {
  const [low, high] = [by('first', '5'), by('first', '7')];
  t.true(goesBefore({ ground: parent, ours: [], rival: [high, low] }));
  t.false(goesBefore({ ground: parent, ours: [high], rival: [] }));
  t.false(goesBefore({ ground: parent, ours: [], rival: [] }));
  t.true(goesBefore({ ground: parent, ours: [high, by('first', '1')], rival: [low] }));
  t.false(goesBefore({ ground: parent, ours: [low], rival: [high, by('first', '1')] }));
});
