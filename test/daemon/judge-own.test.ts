import test from 'ava';
import { encodeHead, headHash } from '../../src/catalog/head.js';
import { BadSignature } from '../../src/catalog/sealed-object.js';
import { sourceIdOf } from '../../src/core/ids.js';
import { firstSeqAfter } from '../../src/core/own-heads.js';
import type { Signer } from '../../src/core/signed.js';
import { judgeOwn, leastOwnSeq } from '../../src/daemon/judge-own.js';
import type { Revocation } from '../../src/membership/configuration.js';
import { peerNameOf } from '../../src/membership/peer-key.js';
import { hostOf, newKey } from '../membership/cast.js';

const [old, between, present] = [newKey(), newKey(), newKey()];
const self = hostOf(old);
const source = sourceIdOf(self, 'work');
const headBy = (signer: Signer, seq: number, of = source): Uint8Array =>
  encodeHead({ source: of, seq, previous: undefined, snapshots: [] }, signer);
const wordsOf = (key: Signer, last: Uint8Array | undefined, seq: number): Revocation => ({
  host: self,
  peer: peerNameOf(key.publicKey),
  heads: last === undefined ? [] : [{ source, seq, hash: headHash(last) }],
});

test('what this machine has signed stands, and of each machine before it what the configuration says, at that moment', t => {
  const [seventh, ninth] = [headBy(old, 7), headBy(between, 9)];
  const membership = {
    identity: { host: self, peer: peerNameOf(present.publicKey), seed: present.seed, signer: present },
    revoked: [wordsOf(old, seventh, 7), wordsOf(between, ninth, 9)],
  };
  const judge = judgeOwn(membership);
  const stands = (sealed: Uint8Array) => judge(sealed)?.stands;
  t.deepEqual(
    [headBy(old, 6), seventh, headBy(old, 8), headBy(between, 8), ninth, headBy(between, 10), headBy(present, 3)].map(
      stands,
    ),
    [true, true, false, true, true, false, true],
  );
  const another = encodeHead({ source, seq: 7, previous: 'ab'.repeat(32), snapshots: [] }, old);
  t.false(stands(another), 'of one number only the one that is named');
  t.throws(() => judge(headBy(newKey(), 1)), { instanceOf: BadSignature });
  t.is(judge(headBy(present, 1, sourceIdOf(hostOf(present), 'work'))), undefined, 'as the host that it was at first');
  membership.revoked = [wordsOf(old, undefined, 0), wordsOf(between, ninth, 9)];
  t.false(stands(seventh), 'the admin’s host knew of none');
});

test('the heads of a machine in whose place none was begin with 1, and else above the last that stands of any before it', t => {
  const membership = { identity: { host: self }, revoked: [] as Revocation[] };
  const least = leastOwnSeq(membership);
  const other = sourceIdOf(self, 'films');
  t.deepEqual([source, other].map(least), [1, 1]);
  membership.revoked = [wordsOf(old, headBy(old, 7), 7), wordsOf(between, undefined, 0)];
  t.deepEqual([source, other].map(least), [firstSeqAfter(7), firstSeqAfter(0)]);
  t.true(firstSeqAfter(7) > 50_000);
});
