import test from 'ava';
import { decode, encode } from 'cborg';
import fc from 'fast-check';
import { ClusterError } from '../../src/core/fault.js';
import { parseObjectId, parseSourceId } from '../../src/core/ids.js';
import {
  ADMINS_MAX,
  ARCHIVED_MAX,
  checkVersion,
  clusterIdOf,
  isWholeFor,
  RELEASED_MAX,
  REVOKED_HEADS_MAX,
  readVersion,
  signVersion,
  VERSION_BYTES_MAX,
  versionFor,
} from '../../src/membership/configuration.js';
import { law } from '../helpers/law.js';
import { found, hostOf, memberOf, NOON_MS, newKey, next, revocationOf } from './cast.js';

const POLICY = `cluster: home
hosts:
  a1:
    stores: [{ path: /s }]
  pupil:
    sources: { work: { path: /work } }
timing: { heartbeat: 1s }
`;

test('version 1 is proved by the cluster id alone, and each later one by the one before it', t => {
  const admin = newKey();
  const first = found([admin], { policyText: POLICY });
  const { cluster } = first;
  const second = next(first, admin);
  t.deepEqual(checkVersion(readVersion(first.raw), { cluster, parent: undefined }), first);
  t.deepEqual(checkVersion(readVersion(second.raw), { cluster, parent: first }), second);
  t.is(second.version, 2);
  t.is(second.previous, first.hash);
  t.is(second.policyText, POLICY);
});

test('a version of another cluster, out of order, or not by an admin of the version before is refused', t => {
  const admin = newKey();
  const other = newKey();
  const first = found([admin]);
  const { cluster } = first;
  const second = next(first, admin, {
    admins: [{ key: Buffer.from(other.publicKey).toString('hex'), host: hostOf(other) }],
  });
  const foreign = found([other]);
  t.is(checkVersion(readVersion(foreign.raw), { cluster, parent: undefined }), 'other-cluster');
  t.is(checkVersion(readVersion(next(foreign, other).raw), { cluster, parent: first }), 'other-cluster');
  const third = next(second, other);
  t.is(checkVersion(readVersion(third.raw), { cluster, parent: first }), 'not-the-next');
  t.is(checkVersion(readVersion(second.raw), { cluster, parent: third }), 'not-the-next');
  // An admin that version 2 has removed can sign no version 3; one that it adds cannot sign version 2.
  t.throws(() => next(second, admin), { code: 'NOT_AN_ADMIN' });
  t.throws(() => next(first, other), { code: 'NOT_AN_ADMIN' });
  t.is(
    checkVersion(
      { ...readVersion(second.raw), signer: Buffer.from(other.publicKey).toString('hex') },
      { cluster, parent: first },
    ),
    'not-an-admin',
  );
});

test('one flipped bit anywhere in a version is found out', t => {
  const admin = newKey();
  const first = found([admin], { policyText: POLICY });
  const second = next(first, admin);
  law(
    t,
    fc.property(fc.nat({ max: second.raw.length * 8 - 1 }), bit => {
      const raw = Uint8Array.from(second.raw);
      raw[bit >> 3] = (raw[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        return typeof checkVersion(readVersion(raw), { cluster: first.cluster, parent: first }) === 'string';
      } catch (error) {
        return error instanceof ClusterError && error.code === 'MALFORMED';
      }
    }),
    { numRuns: 400 },
  );
});

test('bytes that are no version are refused by name, whatever they are', t => {
  const values = fc.oneof(
    fc.anything({ maxDepth: 3, withDate: false, withBigInt: true }),
    fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 4 }),
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    values.map(value => {
      try {
        return encode(value);
      } catch {
        return new Uint8Array(); // a value that CBOR has no word for
      }
    }),
    fc.constant(new Uint8Array(5000).fill(0x81)),
  );
  fc.assert(
    fc.property(bytes, raw => {
      try {
        readVersion(raw);
      } catch (error) {
        return error instanceof ClusterError && error.code === 'MALFORMED';
      }
      return false;
    }),
    { numRuns: 500 },
  );
  t.throws(() => readVersion(new Uint8Array(VERSION_BYTES_MAX + 1)), { code: 'MALFORMED' });
  t.throws(() => readVersion(new Uint8Array(VERSION_BYTES_MAX).fill(0x81)), { code: 'MALFORMED' });
});

test('any field of the body changed for another value is refused by name', t => {
  const first = found([newKey()], { policyText: POLICY });
  const [body, signature, texts] = decode(first.raw) as [Uint8Array, Uint8Array, unknown];
  const fields = decode(body) as unknown[];
  law(
    t,
    fc.property(
      fc.nat({ max: fields.length - 1 }),
      fc.oneof(
        fc.integer(),
        fc.string(),
        fc.uint8Array(),
        fc.constant([[]]),
        fc.constant([[1, 2, 3]]),
        fc.constant(null),
      ),
      (at, value) => {
        const changed = fields.with(at, value);
        try {
          const version = readVersion(encode([encode(changed), signature, texts]));
          return version.hash === first.hash || clusterIdOf(version) !== first.cluster; // the same value again, or another body
        } catch (error) {
          return error instanceof ClusterError && error.code === 'MALFORMED';
        }
      },
    ),
    { numRuns: 400 },
  );
});

test('what is written reads back', t => {
  const admin = newKey();
  const guest = newKey();
  const source = parseSourceId(`${hostOf(guest)}/docs`);
  const content = {
    members: [
      memberOf(admin, 'a1', { addresses: ['/ip4/192.168.1.2/tcp/4747'] }),
      memberOf(guest, 'guest', { trust: 'untrusted', state: 'revoked', invite: 'ab'.repeat(16) }),
    ],
    revoked: [
      { host: hostOf(guest), peer: memberOf(guest, 'x').peer, heads: [{ source, seq: 7, hash: 'cd'.repeat(32) }] },
    ],
    archived: [{ source, copies: 3 }],
    forgotten: [{ source: parseSourceId(`${hostOf(guest)}/old`), seq: 9 }],
    released: [parseObjectId('ef'.repeat(32))],
  } as const;
  t.like(found([admin], content), content);
});

test('a version in which nothing was forgotten is written as before there was forgetting', t => {
  const admin = newKey();
  const before = found([admin]);
  const fields = decode(before.body);
  t.is(fields.length, 11);
  t.deepEqual([before.forgotten, before.released], [[], []]);
  const after = next(before, admin, { released: [parseObjectId('ef'.repeat(32))] });
  t.is(decode(after.body).length, 13);
  t.is(decode(next(after, admin, { released: [] }).body).length, 11);
});

test('one source forgotten twice is refused, and so is one snapshot released twice', t => {
  const admin = newKey();
  const source = parseSourceId(`${hostOf(admin)}/docs`);
  const snapshot = parseObjectId('ef'.repeat(32));
  for (const content of [
    { forgotten: [1, 2].map(seq => ({ source, seq })) },
    { released: [snapshot, snapshot] },
    { released: Array.from({ length: RELEASED_MAX + 1 }, (_, n) => parseObjectId(`${n}`.padStart(64, '0'))) },
  ])
    t.throws(() => found([admin], content), { code: 'MALFORMED' });
});

test('what piles up over the years is refused with a word on what to do, and fits up to its limit', t => {
  const admin = newKey();
  const first = found([admin]);
  const sources = (count: number) => Array.from({ length: count }, (_, n) => parseSourceId(`${hostOf(admin)}/s${n}`));
  const archived = (count: number) => ({ archived: sources(count).map(source => ({ source, copies: 2 })) });
  t.is(next(first, admin, archived(ARCHIVED_MAX)).archived.length, ARCHIVED_MAX);
  t.throws(() => next(first, admin, archived(ARCHIVED_MAX + 1)), {
    code: 'ARCHIVED_FULL',
    message: /^10001 sources would be archived, at most 10000 .*nothing was changed.*'cluster forget SOURCE --archived/,
  });
  const forgotten = (count: number) => ({ forgotten: sources(count).map(source => ({ source, seq: 1 })) });
  t.is(next(first, admin, forgotten(ARCHIVED_MAX)).forgotten.length, ARCHIVED_MAX);
  t.throws(() => next(first, admin, forgotten(ARCHIVED_MAX + 1)), {
    code: 'FORGOTTEN_FULL',
    message: /nothing was changed\. The source stays archived/,
  });
  const other = newKey();
  const revoked = (count: number) => {
    const heads = sources(count).map(source => ({ source, seq: 1, hash: 'cd'.repeat(32) }));
    return { revoked: [{ ...revocationOf(other), heads }] };
  };
  t.is(next(first, admin, revoked(REVOKED_HEADS_MAX)).revoked[0]?.heads.length, REVOKED_HEADS_MAX);
  t.throws(() => next(first, admin, revoked(REVOKED_HEADS_MAX + 1)), {
    code: 'REVOKED_FULL',
    message: /1001 sources.*the host is still a member\. Let go of its archived sources first/,
  });
});

test('a body with two hosts of one name, one id or one key is refused', t => {
  const [a, b] = [newKey(), newKey()];
  for (const members of [
    [memberOf(a, 'same'), memberOf(b, 'same')],
    [memberOf(a, 'a'), memberOf(b, 'b', { host: hostOf(a) })],
    [memberOf(a, 'a'), memberOf(b, 'b', { peer: memberOf(a, 'a').peer })],
  ]) {
    t.throws(() => found([a], { members }), { code: 'MALFORMED' });
  }
});

test('16 admins are allowed, 17 and none are not', t => {
  const keys = Array.from({ length: ADMINS_MAX + 1 }, newKey);
  t.is(found(keys.slice(1)).admins.length, ADMINS_MAX);
  t.throws(() => found(keys), { code: 'MALFORMED' });
  t.throws(() => found(keys.slice(0, 1), { admins: [] }), { code: 'NOT_AN_ADMIN' });
});

test('a configuration above 1 MiB is never signed', t => {
  const admin = newKey();
  const long = `/dns4/${'x'.repeat(250)}/tcp/4747`;
  const members = Array.from({ length: 600 }, (_, index) =>
    memberOf(newKey(), `h${index}`, { addresses: Array.from({ length: 8 }, () => long) }),
  );
  t.throws(() => found([admin], { members: [memberOf(admin, 'a1'), ...members] }), { code: 'CONFIG_TOO_LARGE' });
});

test('an untrusted host gets the members and its own section, and can check them', t => {
  const [admin, pupil, guest] = [newKey(), newKey(), newKey()];
  const members = [memberOf(admin, 'a1'), memberOf(pupil, 'pupil', { trust: 'untrusted' }), memberOf(guest, 'guest')];
  const first = found([admin], { members, policyText: POLICY });
  const reader = { host: hostOf(pupil), trust: 'untrusted' } as const;
  const raw = versionFor(first, reader);
  t.false(Buffer.from(raw).includes('/s }'));

  const withheld = checkVersion(readVersion(raw), { cluster: first.cluster, parent: undefined });
  if (typeof withheld === 'string') return t.fail(withheld);
  t.is(withheld.hash, first.hash);
  t.deepEqual([...withheld.policy.hosts.keys()], ['pupil']);
  t.is(withheld.policy.timing.heartbeatMs, 1000);
  t.is(withheld.members.length, 3);
  t.true(isWholeFor(withheld, reader));
  t.false(isWholeFor(withheld, { host: hostOf(guest), trust: 'trusted' }));
  t.is(versionFor(first, { host: hostOf(guest), trust: 'trusted' }), first.raw);
  // Another untrusted host may not even see that section.
  t.false(isWholeFor(readVersion(versionFor(first, { ...reader, host: hostOf(guest) })), reader));
});

test('a policy that this release cannot read is told from a forged one', t => {
  const admin = newKey();
  const first = found([admin]);
  const good = next(first, admin, { policyText: 'cluster: home\ndefaults: { copies: 3 }\n' });
  t.throws(
    () =>
      signVersion(
        { ...first, policyText: 'cluster: home\nfuture: 1\n' },
        { parent: first, signer: admin, nowMs: NOON_MS },
      ),
    {
      code: 'POLICY_INVALID',
    },
  );
  const parts = [{ name: 'head', hash: 'x', text: 'cluster: home\nfuture: 1\n' }] as const;
  t.is(checkVersion({ ...good, parts }, { cluster: first.cluster, parent: first }), 'policy-unreadable');
});
