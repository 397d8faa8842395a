import test from 'ava';
import { decideGrant, decideSign, GRANT_READS_MAX, type GrantView, type SignView } from '../../src/core/grant.js';
import { parsePossession } from '../../src/core/ids.js';

const CONFIG = { version: 3, hash: 'a'.repeat(64) };
const OLDER = { version: 2, hash: 'b'.repeat(64) };
const NEWER = { version: 4, hash: 'c'.repeat(64) };
const OTHER = { version: 3, hash: 'd'.repeat(64) };

const asked = (changes: Partial<GrantView> = {}): GrantView => ({
  askerIsMember: true,
  askerConfig: CONFIG,
  config: CONFIG,
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

test('… and not to one that goes by another configuration', t => {
  for (const askerConfig of [OLDER, NEWER, OTHER])
    t.is(decideGrant(asked({ ownRemoval: 'asking', askerFirst: true, askerConfig })).act, 'deny');
});

test('a host that has committed gives way to nobody', t => {
  t.deepEqual(decideGrant(asked({ ownRemoval: 'committing', askerFirst: true })), { act: 'deny', because: 'dropping' });
});

for (const [title, change, because] of [
  ['no member asks', { askerIsMember: false }, 'draining'],
  ['this host is draining', { mayGrant: false }, 'draining'],
  ['the asker’s configuration is older', { askerConfig: OLDER }, 'config-newer'],
  ['the asker’s configuration is newer', { askerConfig: NEWER }, 'config-older'],
  ['the asker’s configuration is another one of the same version', { askerConfig: OTHER }, 'config-differs'],
  ['the asker does not say which one of that version', { askerConfig: { ...CONFIG, hash: '' } }, 'config-differs'],
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
  askerConfig: CONFIG,
  config: CONFIG,
  ...changes,
});

test('a grant is signed only if everything is as it was when the read began', t => {
  t.is(decideSign(read()), undefined);
  t.is(decideSign(read({ generation: 8 })), 'dropping');
  t.is(decideSign(read({ held: false })), 'absent');
  t.is(decideSign(read({ possession: undefined })), 'corrupt');
  t.is(decideSign(read({ mayGrant: false })), 'draining');
  t.is(decideSign(read({ config: NEWER })), 'config-newer');
  t.is(decideSign(read({ config: OLDER })), 'config-older');
  t.is(decideSign(read({ config: OTHER })), 'config-differs');
});

test('no grant while this host removes the parcel itself, however far it is', t => {
  t.is(decideSign(read({ ownRemoval: 'asking' })), 'dropping');
  t.is(decideSign(read({ ownRemoval: 'committing' })), 'dropping');
});
