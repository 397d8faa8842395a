import test from 'ava';
import fc from 'fast-check';
import type { Member } from '../../src/core/cluster-config.js';
import { DropProof } from '../../src/core/drop-proof.js';
import {
  type HostId,
  parseHostId,
  parseNonce,
  parseParcelId,
  parsePeerName,
  parsePossession,
  parseStoreId,
  type StoreId,
} from '../../src/core/ids.js';
import { law } from '../helpers/law.js';

const hostNumber = (n: number): HostId => parseHostId(n.toString(16).padStart(32, '0'));
const SELF = hostNumber(1);
const ORIGIN = hostNumber(2);
const OTHER_ORIGIN = hostNumber(6);
const STORE = parseStoreId('d'.repeat(32));
const OTHER_STORE = parseStoreId('e'.repeat(32));
const NONCE = parseNonce('1'.repeat(32));
const OTHER_NONCE = parseNonce('2'.repeat(32));
const RIGHT = parsePossession('a'.repeat(64));
const WRONG = parsePossession('b'.repeat(64));

const member = (host: HostId, changes: Partial<Member> = {}): Member => ({
  host,
  name: host,
  peer: parsePeerName(`12D3Koo${'A'.repeat(45)}`),
  state: 'active',
  trust: 'trusted',
  domain: host,
  roaming: false,
  ...changes,
});

const grant = (n: number) => ({ host: hostNumber(n), nonce: NONCE, possession: RIGHT, expected: RIGHT });
type Grants = Parameters<typeof DropProof.from>[0]['grants'];

const proofOf = (
  grants: Grants,
  {
    members = {},
    copiesWanted = 2,
    grantable = 9,
    stays,
  }: {
    members?: Record<number, Partial<Member> | undefined>;
    copiesWanted?: number;
    grantable?: number;
    stays?: StoreId;
  } = {},
) =>
  DropProof.from({
    parcel: parseParcelId('c'.repeat(64)),
    store: STORE,
    stays,
    self: SELF,
    origins: [ORIGIN, OTHER_ORIGIN],
    nonce: NONCE,
    copiesWanted,
    grantable,
    configVersion: 4,
    memberOf: host => {
      const n = Number.parseInt(host, 16);
      return n in members && members[n] === undefined ? undefined : member(host, members[n]);
    },
    grants,
  });

test('N grants of distinct domains make a proof that names them', t => {
  t.is(proofOf([grant(3)]), undefined);
  const proof = proofOf([grant(3), grant(4)]);
  t.deepEqual(proof?.granters, [hostNumber(3), hostNumber(4)]);
  t.like(proof, { nonce: NONCE, configVersion: 4 });
});

for (const [title, second, members] of [
  ['the same host twice', grant(3), {}],
  ['two hosts of one domain', grant(4), { 3: { domain: 'shelf' }, 4: { domain: 'shelf' } }],
  ['a grant of another attempt', { ...grant(4), nonce: OTHER_NONCE }, {}],
  ['a proof of possession that is wrong', { ...grant(4), possession: WRONG }, {}],
  ['one that was not asked', { ...grant(4), expected: undefined }, {}],
  ['this host itself', grant(1), {}],
  ['the origin', grant(2), {}],
  ['the origin of another source that lists the parcel', grant(6), {}],
  ['a host that is no member any more', grant(4), { 4: undefined }],
  ['a draining host', grant(4), { 4: { state: 'draining' } }],
  ['a provisional host', grant(4), { 4: { state: 'provisional' } }],
  ['an untrusted host', grant(4), { 4: { trust: 'untrusted' } }],
] as const) {
  test(`it does not count: ${title}`, t => {
    t.is(proofOf([grant(3), second], { members }), undefined);
    t.not(proofOf([grant(3), second, grant(5)], { members }), undefined);
  });
}

test('a copy that stays in another store of the host counts for the host itself', t => {
  const stays = OTHER_STORE;
  t.deepEqual(proofOf([grant(3)], { stays })?.granters, [hostNumber(3), SELF]);
  t.deepEqual(proofOf([], { stays, copiesWanted: 1 })?.granters, [SELF]);
});

test('where fewer than N have it, all of them are enough for the second copy of a host, and for no other', t => {
  const stays = OTHER_STORE;
  t.deepEqual(proofOf([], { stays, grantable: 1 })?.granters, [SELF]);
  t.is(proofOf([], { stays, grantable: 2, copiesWanted: 3 }), undefined);
  t.deepEqual(proofOf([grant(3)], { stays, grantable: 2, copiesWanted: 3 })?.granters, [hostNumber(3), SELF]);
  t.is(proofOf([grant(3)], { grantable: 1 }), undefined);
  t.is(proofOf([], { stays, grantable: 0 }), undefined);
  const members = { 1: { domain: 'shelf' }, 3: { domain: 'shelf' } };
  t.deepEqual(
    proofOf([grant(3)], { stays, grantable: 1, members })?.granters,
    [hostNumber(3)],
    'by another of its domain',
  );
});

for (const [title, options] of [
  ['it is the one that goes', { stays: STORE }],
  [
    'a grant is of the same domain',
    { stays: OTHER_STORE, members: { 1: { domain: 'shelf' }, 3: { domain: 'shelf' } } },
  ],
  ['the host is draining', { stays: OTHER_STORE, members: { 1: { state: 'draining' } } }],
  ['the host is no member any more', { stays: OTHER_STORE, members: { 1: undefined } }],
] as const) {
  test(`… but not where ${title}`, t => {
    t.is(proofOf([grant(3)], options), undefined);
    t.not(proofOf([grant(3), grant(4)], options), undefined);
  });
}

test('a parcel of which no copies are wanted is not dropped by grants', t => {
  t.is(proofOf([grant(3)], { copiesWanted: 0 }), undefined);
});

test('whatever the grants, a proof counts N distinct domains of active, trusted members', t => {
  const answer = fc.record({ n: fc.integer({ min: 1, max: 8 }), right: fc.boolean(), fresh: fc.boolean() });
  const copies = fc.integer({ min: 1, max: 4 });
  const domainOfEach = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 9, maxLength: 9 });
  law(
    t,
    fc.property(fc.array(answer), copies, domainOfEach, (answers, copiesWanted, domains) => {
      const members = Object.fromEntries(domains.map((domain, n) => [n, { domain: `d${domain}` }]));
      const grants = answers.map(({ n, right, fresh }) => ({
        ...grant(n),
        possession: right ? RIGHT : WRONG,
        nonce: fresh ? NONCE : OTHER_NONCE,
      }));
      const good = answers
        .filter(({ n, right, fresh }) => right && fresh && n > 2 && n !== 6)
        .map(({ n }) => domains[n]);
      return (proofOf(grants, { members, copiesWanted }) !== undefined) === new Set(good).size >= copiesWanted;
    }),
  );
});
