import test from 'ava';
import fc from 'fast-check';
import type { ObjectId } from '../../src/core/ids.js';
import { decideAdoption, listAgain, nextSeq, type OwnHead, replacesHead } from '../../src/core/own-heads.js';
import { law } from '../helpers/law.js';

type Head = OwnHead<{ readonly id: ObjectId }>;

const list = (...ids: readonly string[]): Head['snapshots'] => ids.map(id => ({ id: id as ObjectId }));
const head = (seq: number, hash: string, ...ids: readonly string[]): Head => ({ seq, hash, snapshots: list(...ids) });

test('a later head is adopted, and what ours lists and it does not is to be listed again', t => {
  t.deepEqual(decideAdoption(undefined, head(7, 'x', 'a')), { kind: 'adopted', unlisted: [] });
  t.deepEqual(decideAdoption(head(6, 'o', 'a', 'b', 'c'), head(7, 'x', 'b', 'd')), {
    kind: 'adopted',
    unlisted: list('a', 'c'),
  });
});

test('an older head and the one that is here change nothing', t => {
  t.deepEqual(decideAdoption(head(7, 'o', 'a'), head(6, 'x', 'b')), { kind: 'older' });
  t.deepEqual(decideAdoption(head(7, 'o', 'a'), head(7, 'o', 'a')), { kind: 'known' });
});

test('of another head with our number all is to be listed, with what ours lists', t => {
  t.deepEqual(decideAdoption(head(7, 'o', 'a', 'b'), head(7, 'x', 'b', 'c')), {
    kind: 'forked',
    union: list('a', 'b', 'c'),
  });
});

test('whatever is remembered in whatever order, no number is given twice and each snapshot is listed in the end', t => {
  const remembered = fc.array(fc.tuple(fc.nat({ max: 9 }), fc.subarray(['a', 'b', 'c', 'd', 'e'])), { maxLength: 12 });
  law(
    t,
    fc.property(remembered, heads => {
      let own: Head | undefined;
      let seqBefore = 0;
      const listed = new Set<string>();
      const sign = (snapshots: Head['snapshots']): void => {
        const seq = nextSeq(own);
        own = { seq, hash: `ours ${seq}`, snapshots };
      };
      heads.forEach(([seq, ids], i) => {
        const adoption = decideAdoption(own, head(seq, `theirs ${i}`, ...ids));
        if (adoption.kind !== 'older') for (const id of ids) listed.add(id);
        if (adoption.kind === 'adopted') {
          own = head(seq, `theirs ${i}`, ...ids);
          if (adoption.unlisted.length > 0) sign(listAgain(own.snapshots, adoption.unlisted));
        } else if (adoption.kind === 'forked') sign(adoption.union);
        const now = own?.seq ?? 0;
        if (adoption.kind === 'forked' ? now <= seqBefore : now < seqBefore)
          throw new Error(`${now} after ${seqBefore}`);
        seqBefore = now;
      });
      const last = new Set(own?.snapshots.map(({ id }) => id as string));
      return ([...listed].every(id => last.has(id)) && last.size === own?.snapshots.length) || own === undefined;
    }),
  );
});

test('a later head stands in place of an earlier one, and of two with one number the lower hash', t => {
  t.deepEqual(
    [head(8, 'z'), head(7, 'a'), head(7, 'm'), head(7, 'z'), head(6, 'a')].map(other =>
      replacesHead(other, head(7, 'm')),
    ),
    [true, true, false, false, false],
  );
});
