import test from 'ava';
import { decode, encode } from 'cborg';
import { readFoundVersion } from '../../src/membership/found-configuration.js';
import { found, hostOf, memberOf, newKey, next } from './cast.js';

const admin = newKey();
const pi = newKey();
const first = found([admin], {
  members: [memberOf(admin, 'imac'), memberOf(pi, 'pi', { state: 'revoked' })],
  policyText:
    'cluster: home\nhosts:\n  pi:\n    stores: [{ path: /srv/hoard }]\n# From before it had a floor.\ntiming: { scrub: 0 }\n',
});

test('a version without those before it tells names, keys and where stores are, also of a revoked host', t => {
  const second = next(first, admin);
  const { version, hosts } = readFoundVersion(second.raw, first.cluster);
  t.is(version, 2);
  t.deepEqual(
    hosts.map(({ host, name, stores }) => [host, name, stores]),
    [
      [hostOf(admin), 'imac', []],
      [hostOf(pi), 'pi', ['/srv/hoard']],
    ],
  );
  t.deepEqual(hosts[1]?.keys.map(Buffer.from), [Buffer.from(pi.publicKey)]);
});

test('a host that goes on with another machine is told with all keys that it has had, the present one first', t => {
  const fresh = newKey();
  const members = [memberOf(admin, 'imac'), memberOf(pi, 'pi', { peer: memberOf(fresh, 'x').peer })];
  const { host, peer } = memberOf(pi, 'pi');
  const replaced = [{ host, peer, heads: [], invite: undefined }];
  const { hosts } = readFoundVersion(next(first, admin, { members, replaced }).raw, first.cluster);
  t.deepEqual(
    hosts.map(({ keys }) => keys.map(key => Buffer.from(key))),
    [[admin], [fresh, pi]].map(keys => keys.map(({ publicKey }) => Buffer.from(publicKey))),
  );
});

test('one of another cluster, or that was changed since it was signed, is refused', t => {
  const stranger = newKey();
  const other = found([stranger]);
  for (const { raw } of [other, next(other, stranger)])
    t.throws(() => readFoundVersion(raw, first.cluster), { message: /of another cluster/ });
  const [body, signature, texts] = decode(first.raw) as [Uint8Array, Uint8Array, unknown];
  const changed = Uint8Array.from(signature);
  changed[0] = (changed[0] ?? 0) ^ 1;
  t.throws(() => readFoundVersion(encode([body, changed, texts]), first.cluster), { message: /signature is wrong/ });
  t.throws(() => readFoundVersion(Buffer.from('none'), first.cluster), { code: 'MALFORMED' });
});

test('where the policy was withheld, names and keys are told all the same', t => {
  const [body, signature, texts] = decode(first.raw) as [Uint8Array, Uint8Array, unknown[]];
  const withheld = encode([body, signature, texts.map(() => [null])]);
  t.deepEqual(
    readFoundVersion(withheld, first.cluster).hosts.map(({ name, stores }) => [name, stores]),
    [
      ['imac', []],
      ['pi', []],
    ],
  );
});
