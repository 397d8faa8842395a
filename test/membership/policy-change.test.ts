/** Policy change: what is warned of, beside what membership.test.ts has of one host. */
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { parseHostId } from '../../src/core/ids.js';
import { parsePolicy } from '../../src/membership/parse-policy.js';
import { lossesOf, type PolicyChange, warningsOf } from '../../src/membership/policy-change.js';

type Changes = Partial<PolicyChange['members'][number]>;

/** From one policy to another, of a cluster with the members `mini` and `guest`. */
function change(before: string, after: string, guest: Changes = {}): PolicyChange {
  const policyOf = (hosts: string) => parsePolicy(`cluster: home\nhosts: { ${hosts} }\n`).policy;
  const member = (name: string, changes: Changes): PolicyChange['members'][number] => ({
    host: parseHostId(hashHex(Buffer.from(name)).slice(0, 32)),
    name,
    state: 'active',
    trust: 'trusted',
    ...changes,
  });
  const members = [member('mini', {}), member('guest', guest)];
  return { before: policyOf(before), after: policyOf(after), archived: [], members };
}

const STORE = 'guest: { stores: [{ path: /disk }] }';
const SOURCE = 'guest: { sources: { docs: { path: /docs } } }';

test('a store of an untrusted host is told to be of no use, with each change, and nothing else of it is', t => {
  const untrusted = { trust: 'untrusted' } as const;
  for (const before of ['', STORE])
    t.deepEqual(warningsOf(change(before, STORE, untrusted)), [
      'hosts.guest is untrusted: its stores get no copies, and lend no room',
    ]);
  t.deepEqual(warningsOf(change('', STORE)), [], 'a trusted one');
  t.deepEqual(warningsOf(change('', SOURCE, untrusted)), [], 'it lends nothing');
  t.deepEqual(warningsOf(change(STORE, '', untrusted)), [], 'it is gone');
  t.deepEqual(
    warningsOf(change('', STORE, { ...untrusted, state: 'revoked' })).map(text => text.split(':')[0]),
    ['hosts.guest was revoked'],
    'that it is no member says more',
  );
});

test('a revoked host leaves the policy with its stores unasked, and its sources are asked about', t => {
  const revoked = { state: 'revoked' } as const;
  t.deepEqual(lossesOf(change(STORE, '', revoked)), []);
  t.regex(
    lossesOf(change(SOURCE, '', revoked)).join('\n'),
    /^guest\/docs \(\/docs\) is no longer in the policy[^\n]*$/,
  );
  t.deepEqual(
    lossesOf(change(`${STORE}, mini: {}`, 'mini: {}')).map(text => text.split(';')[0]),
    ['hosts.guest is left out: nothing is set for this member any more', 'guest: the store /disk is removed'],
  );
});
