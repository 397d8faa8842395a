import test from 'ava';
import { decideGrant, decideSign, GRANT_READS_MAX, type GrantView, type SignView } from '../../src/core/grant.js';
import { parsePossession } from '../../src/core/ids.js';

const asked = (changes: Partial<GrantView> = {}): GrantView => ({
  askerIsMember: true,
  askerConfigVersion: 3,
  configVersion: 3,
  mayGrant: true,
  held: true,
  wanted: true,
  ownRemoval: 'none',
  askerFirst: false,
  reads: 0,
  ...changes,
});

test('what is held and wanted is read for whoever asks', t => {
  t.deepEqual(decideGrant(asked()), { act: 'read', yields: false });
});

test('a host that is asking itself gives way to the higher right only, and then its own attempt is void', t => {
  t.deepEqual(decideGrant(asked({ ownRemoval: 'asking' })), { act: 'deny', because: 'dropping' });
  t.deepEqual(decideGrant(asked({ ownRemoval: 'asking', askerFirst: true })), { act: 'read', yields: true });
});

test('a host that has committed gives way to nobody', t => {
  t.deepEqual(decideGrant(asked({ ownRemoval: 'committing', askerFirst: true })), { act: 'deny', because: 'dropping' });
});

for (const [title, change, because] of [
  ['no member asks', { askerIsMember: false }, 'draining'],
  ['this host is draining', { mayGrant: false }, 'draining'],
  ['the asker’s configuration is older', { askerConfigVersion: 2 }, 'config-newer'],
  ['the asker’s configuration is newer', { askerConfigVersion: 4 }, 'config-older'],
  ['it is not held', { held: false }, 'absent'],
  ['nobody wants it', { wanted: false }, 'unwanted'],
  ['too many reads are under way', { reads: GRANT_READS_MAX }, 'busy'],
] as const) {
  test(`no read when ${title}`, t => t.deepEqual(decideGrant(asked(change)), { act: 'deny', because }));
}

test('the last read that may begin does', t => {
  t.is(decideGrant(asked({ reads: GRANT_READS_MAX - 1 })).act, 'read');
});

const read = (changes: Partial<SignView> = {}): SignView => ({
  held: true,
  readGeneration: 7,
  generation: 7,
  ownRemoval: 'none',
  possession: parsePossession('a'.repeat(64)),
  mayGrant: true,
  askerConfigVersion: 3,
  configVersion: 3,
  ...changes,
});

test('a grant is signed only if everything is as it was when the read began', t => {
  t.is(decideSign(read()), undefined);
  t.is(decideSign(read({ generation: 8 })), 'dropping');
  t.is(decideSign(read({ held: false })), 'absent');
  t.is(decideSign(read({ possession: undefined })), 'corrupt');
  t.is(decideSign(read({ mayGrant: false })), 'draining');
  t.is(decideSign(read({ configVersion: 4 })), 'config-newer');
  t.is(decideSign(read({ configVersion: 2 })), 'config-older');
});

test('no grant while this host removes the parcel itself, however far it is', t => {
  t.is(decideSign(read({ ownRemoval: 'asking' })), 'dropping');
  t.is(decideSign(read({ ownRemoval: 'committing' })), 'dropping');
});
