import test, { type ExecutionContext } from 'ava';
import { changesBetween } from '../../src/membership/config-history.js';
import type { UncheckedVersion } from '../../src/membership/configuration.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { type Membership, openMembership } from '../../src/membership/membership.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { NOON_MS, silent } from './cast.js';

async function founded(t: ExecutionContext): Promise<Membership> {
  const stateDir = temporaryFolder(t);
  await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
  return openMembership({ stateDir, clock: () => NOON_MS, runMs: () => 0, log: silent });
}

const POLICY = `cluster: home # ours
defaults: { copies: 3 }
hosts:
  imac:
    stores: [{ path: /disk }]
`;

test('each version tells when and by whom it was made and what it changed, the newest first', async t => {
  const membership = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  await membership.admin.drain('imac', false);
  const steps = [];
  for await (const step of membership.history()) steps.push(step);
  t.deepEqual(
    steps.map(({ version, signer, changes }) => [version, signer, changes]),
    [
      [3, 'imac', ['imac: active -> draining']],
      [2, 'imac', ['policy for all', 'imac: store /disk added']],
      [1, 'imac', ['the cluster was founded']],
    ],
  );
  t.true(steps.every(({ signedMs }) => signedMs >= NOON_MS));
  t.is(steps[0]?.hash, membership.configuration.hash);
});

test('the policy of any version can be had as it was written, and be put in force again', async t => {
  const membership = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  await membership.admin.applyPolicy({ text: POLICY.replace('copies: 3', 'copies: 4') });
  const { text } = await membership.policyOf(2);
  t.is(text, POLICY);
  const { configuration } = await membership.admin.applyPolicy({ text, yes: true });
  t.is(configuration.version, 4);
  t.is(configuration.policyText, POLICY);
});

test('a version that is not there is refused, with the newest', async t => {
  const membership = await founded(t);
  for (const version of [0, 2]) {
    await t.throwsAsync(membership.policyOf(version), {
      code: 'NO_SUCH_VERSION',
      message: /there is no version \d of the configuration: the newest is 1\. Nothing was changed/,
    });
  }
});

test('what was withheld from this host is not taken for what was written', async t => {
  const membership = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  const whole = membership.configuration;
  const parts = whole.parts.map(part => (part.name === 'host:imac' ? { ...part, text: undefined } : part));
  const { policyOf } = await import('../../src/membership/config-history.js');
  const withheld = { current: whole, from: async () => [{ ...whole, parts }] };
  await t.throwsAsync(policyOf(withheld, 2), { code: 'VERSION_INCOMPLETE' });
});

test('a change is told by what it is of', async t => {
  const { configuration: before } = await founded(t);
  const member = before.members[0];
  if (member === undefined) return t.fail();
  const told = (changes: Partial<UncheckedVersion>): readonly string[] =>
    changesBetween(before, { ...before, ...changes });
  const mini = { ...member, host: '22'.repeat(16) as typeof member.host, name: 'mini' };
  t.deepEqual(told({ members: [member, mini] }), ['mini was admitted']);
  t.deepEqual(told({ members: [{ ...member, addresses: ['/ip4/10.0.0.9/tcp/1'] }] }), ['imac has other addresses']);
  t.deepEqual(told({ admins: [...before.admins, { key: 'ab'.repeat(32), host: mini.host }] }), ['admin keys']);
  const source = `${member.host}/docs` as never;
  t.deepEqual(told({ archived: [{ source, copies: 2 }] }), ['sources archived: 1']);
  t.deepEqual(told({ forgotten: [{ source, seq: 1 }] }), ['an archived source was forgotten']);
  t.deepEqual(told({ released: ['cd'.repeat(32) as never] }), ['unlisted snapshots were let go']);
  const parts = [{ name: 'host:imac' as const, hash: 'ef'.repeat(32), text: undefined }];
  t.deepEqual(changesBetween({ ...before, parts }, { ...before, parts: [] }), ['policy of imac, taken out']);
});
