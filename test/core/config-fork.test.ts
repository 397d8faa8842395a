import test from 'ava';
import fc from 'fast-check';
import { decideFork, type ForkedVersion, goesBefore } from '../../src/core/config-fork.js';
import { law } from '../helpers/law.js';

const version = (hash: string, signer: string, ...admins: readonly string[]): ForkedVersion => ({
  hash,
  signer,
  admins: admins.map(key => ({ key })),
  revoked: [],
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

test('a branch that revokes more members goes before one that revokes fewer, whoever signed and however long; admins count first', t => {
  const revoking = (one: ForkedVersion, ...peers: readonly string[]): ForkedVersion => ({
    ...one,
    revoked: peers.map(peer => ({ peer })),
  });
  const laptop = [by('second', '8'), revoking(by('second', '9'), 'laptop')] as const;
  t.is(decideFork(parent, laptop, [by('first', '1'), by('first', '2')]), 'a');
  t.is(decideFork(parent, [by('first', '1')], laptop), 'b');
  t.is(decideFork(parent, laptop, [revoking(by('first', '1'), 'phone', 'laptop')]), 'b');
  t.is(decideFork(parent, laptop, [revoking(by('first', '1'), 'phone')]), 'b', 'as many: the order of admins');
  t.is(decideFork(parent, [by('second', '5', 'second')], [revoking(by('first', '1'), 'phone', 'laptop')]), 'a');
  const ground = revoking(parent, 'laptop');
  const both = [revoking(by('second', '1'), 'laptop'), revoking(by('first', '3'), 'laptop')] as const;
  t.is(decideFork(ground, [both[0]], [both[1]]), 'b', 'what was revoked before they part counts for neither');
});

test('of any three chains none beats another in a circle', t => {
  // A tree of versions: each follows an earlier one, changes who is an admin or revoked, and gets a hash by chance.
  const change = fc.record({
    parent: fc.nat({ max: 1000 }),
    hash: fc.nat({ max: 1000 }),
    signer: fc.constantFrom('x', 'y'),
    admins: fc.subarray(['x', 'y', 'z'], { minLength: 1 }),
    revoked: fc.subarray(['p', 'q', 'r']),
  });
  const property = fc.property(fc.array(change, { minLength: 3, maxLength: 9 }), changes => {
    const chains: (readonly ForkedVersion[])[] = [[version('root', 'x', 'x', 'y', 'z')]];
    changes.forEach(({ parent: place, hash, signer, admins, revoked }, n) => {
      const made = { ...version(`${hash}-${n}`, signer, ...admins), revoked: revoked.map(peer => ({ peer })) };
      chains.push([...(chains[place % chains.length] ?? []), made]);
    });
    const isBefore = (one: readonly ForkedVersion[], other: readonly ForkedVersion[]): boolean => {
      const shared = one.findIndex((made, n) => made !== other[n]);
      const at = shared < 0 ? one.length : shared;
      const ground = one[at - 1];
      if (ground === undefined) throw new Error('all have one root');
      return goesBefore({ ground, ours: other.slice(at), rival: one.slice(at) });
    };
    const tips = chains.filter(
      chain => !chains.some(longer => longer[chain.length - 1] === chain.at(-1) && longer !== chain),
    );
    for (const a of tips)
      for (const b of tips) {
        if (a !== b && isBefore(a, b) === isBefore(b, a)) return false;
        for (const c of tips) if (isBefore(a, b) && isBefore(b, c) && !isBefore(a, c)) return false;
      }
    return true;
  });
  law(t, property, { numRuns: 2000 });
});

test('what goes on from the end of ours is taken, what we have already is not, and of two branches the one that stands', t => {
  const [low, high] = [by('first', '5'), by('first', '7')];
  t.true(goesBefore({ ground: parent, ours: [], rival: [high, low] }));
  t.false(goesBefore({ ground: parent, ours: [high], rival: [] }));
  t.false(goesBefore({ ground: parent, ours: [], rival: [] }));
  t.true(goesBefore({ ground: parent, ours: [high, by('first', '1')], rival: [low] }));
  t.false(goesBefore({ ground: parent, ours: [low], rival: [high, by('first', '1')] }));
});
