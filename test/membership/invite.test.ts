import test from 'ava';
import { encode } from 'cborg';
import fc from 'fast-check';
import { ClusterError } from '../../src/core/fault.js';
import { readAdmission } from '../../src/membership/admission.js';
import { INVITE_USES_MAX, parseToken, readInvite, signInvite, tokenText } from '../../src/membership/invite.js';
import { peerNameOf } from '../../src/membership/peer-key.js';
import { law } from '../helpers/law.js';
import { admission, found, HOUR_MS, invitation, NOON_MS, newKey } from './cast.js';

const admin = newKey();
const home = found([admin]);
const DOORS = [{ peer: peerNameOf(admin.publicKey), addresses: ['/ip4/192.168.1.2/tcp/4747'] }];

test('a token reads back, also when a mail program has broken it into lines', t => {
  const made = invitation(home, admin, { uses: 3, trust: 'untrusted' });
  const text = tokenText({ ...made, doors: DOORS });
  t.regex(text, /^scatterhoard1[A-Za-z0-9_-]+$/);
  for (const form of [text, ` ${text}\n`, text.replace(/(.{60})/g, '$1\r\n')]) {
    const token = parseToken(form);
    t.deepEqual(token.doors, DOORS);
    t.deepEqual(token.seed, made.seed);
    t.like(token.invite, {
      id: made.invite.id,
      uses: 3,
      trust: 'untrusted',
      cluster: home.cluster,
      expiresMs: NOON_MS + 24 * HOUR_MS,
    });
  }
});

test('any one character changed, lost or added makes a token damaged, and says so', t => {
  const text = tokenText({ ...invitation(home, admin), doors: DOORS });
  const characters = fc.constantFrom(...'ABCXYZabcxyz0189_-');
  law(
    t,
    fc.property(
      fc.nat({ max: text.length - 1 }),
      characters,
      fc.constantFrom('change', 'lose', 'add'),
      (at, character, how) => {
        const harmed =
          how === 'change'
            ? text.slice(0, at) + character + text.slice(at + 1)
            : how === 'lose'
              ? text.slice(0, at) + text.slice(at + 1)
              : text.slice(0, at) + character + text.slice(at);
        if (harmed === text) return true;
        try {
          parseToken(harmed);
        } catch (error) {
          return error instanceof ClusterError && ['TOKEN_DAMAGED', 'TOKEN_TOO_NEW'].includes(error.code);
        }
        return false;
      },
    ),
    { numRuns: 500 },
  );
});

test('what is no token at all is damaged, a later format is named as such', t => {
  for (const text of [
    '',
    'scatterhoard',
    'scatterhoard1',
    'hello',
    'scatterhoard1====',
    `scatterhoard1${'A'.repeat(40_000)}`,
  ]) {
    t.throws(() => parseToken(text), { code: 'TOKEN_DAMAGED' }, text.slice(0, 40));
  }
  t.throws(() => parseToken('scatterhoard2abc'), { code: 'TOKEN_TOO_NEW' });
});

test('uses go from 1 to 1000, and an invite expires after it was made', t => {
  const order = { cluster: home.cluster, uses: 1, nowMs: NOON_MS, expiresMs: NOON_MS + 1, trust: 'trusted' } as const;
  t.is(signInvite(order, admin).invite.uses, 1);
  t.is(signInvite({ ...order, uses: INVITE_USES_MAX }, admin).invite.uses, INVITE_USES_MAX);
  for (const wrong of [
    { uses: 0 },
    { uses: INVITE_USES_MAX + 1 },
    { uses: 1.5 },
    { expiresMs: NOON_MS },
    { expiresMs: Number.NaN },
  ]) {
    t.throws(() => signInvite({ ...order, ...wrong }, admin), { code: 'BAD_INVITE' });
  }
});

test('an invite or an admission with one flipped bit is refused by name', t => {
  const made = invitation(home, admin);
  const admitted = admission(made, newKey(), admin);
  for (const [raw, read] of [
    [made.invite.raw, readInvite],
    [admitted.raw, readAdmission],
  ] as const) {
    law(
      t,
      fc.property(fc.nat({ max: raw.length * 8 - 1 }), bit => {
        const harmed = Uint8Array.from(raw);
        harmed[bit >> 3] = (harmed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        try {
          read(harmed);
        } catch (error) {
          return error instanceof ClusterError && error.code === 'MALFORMED';
        }
        return false;
      }),
      { numRuns: 200 },
    );
  }
});

test('bytes that are no invite and no admission are refused by name, whatever they are', t => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .array(fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.integer(), fc.string()), { maxLength: 4 })
      .map(value => encode(value)),
  );
  law(
    t,
    fc.property(bytes, raw =>
      [readInvite, readAdmission].every(read => {
        try {
          read(raw);
        } catch (error) {
          return error instanceof ClusterError && error.code === 'MALFORMED';
        }
        return false;
      }),
    ),
  );
});

test('an admission needs the one-time key, the admitting member and time, each by itself', t => {
  const made = invitation(home, admin);
  const guest = newKey();
  t.like(readAdmission(admission(made, guest, admin).raw), { wantedName: 'guest', admittedMs: NOON_MS });
  t.throws(() => admission({ ...made, seed: newKey().seed }, guest, admin), {
    code: 'MALFORMED',
    message: /not proved/,
  });
  t.throws(() => admission(made, guest, { ...admin, sign: newKey().sign }), {
    code: 'MALFORMED',
    message: /not signed by the member/,
  });
  t.throws(() => admission(made, { ...guest, publicKey: newKey().publicKey, sign: guest.sign }, admin, 'Guest!'), {
    code: 'MALFORMED',
  });
  t.notThrows(() => admission(made, guest, admin, 'guest', made.invite.expiresMs - 1));
  t.throws(() => admission(made, guest, admin, 'guest', made.invite.expiresMs), {
    code: 'MALFORMED',
    message: /expired/,
  });
});
