import test, { type ExecutionContext } from 'ava';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import { Answers, type AnswersOptions } from '../../src/daemon/answers.js';
import { Roster } from '../../src/daemon/roster.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { openMembership } from '../../src/membership/membership.js';
import { publicKeyOf } from '../../src/membership/peer-key.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { NOON_MS, silent } from '../membership/cast.js';

/** The service of a cluster of one host, `imac`, as far as its configuration goes. */
async function answers(t: ExecutionContext): Promise<Answers> {
  const stateDir = temporaryFolder(t);
  await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
  const membership = await openMembership({ stateDir, clock: () => NOON_MS, runMs: () => 0, log: silent });
  const roster = new Roster({ self: membership.identity.host, publicKeyOf });
  roster.update(membership.clusterConfig.members);
  // Nothing else is asked of by what these tests call.
  return new Answers({ membership, roster } as AnswersOptions);
}

const policyOf = (host: string): string => `cluster: home
hosts:
  ${host}:
    sources: { photos: { path: /home/ann/Pictures } }
`;

test('a host whose name was misspelt in a new policy: nothing is changed, its sources are told of, and the name that was meant', async t => {
  const service = await answers(t);
  const before = await service.configApply({ text: policyOf('imac'), fileName: 'p.yaml', yes: false });
  t.deepEqual(before.warnings, []);

  const misspelt = { text: policyOf('imca'), fileName: 'p.yaml' };
  const refusal = await t.throwsAsync(service.configApply({ ...misspelt, yes: false }), { code: 'NEEDS_YES' });
  const [told, ...lines] = (refusal?.message ?? '').split('\n').map(line => line.trim());
  t.regex(told ?? '', /nothing was changed\. 'cluster config apply' and 'rollback' do it with --yes/);
  t.is(lines.length, 3);
  t.regex(lines[0] ?? '', /^hosts\.imac is left out/);
  t.regex(
    lines[1] ?? '',
    /^imac\/photos \(\/home\/ann\/Pictures\) is no longer in the policy: it is archived, and no longer backed up/,
  );
  t.regex(lines[2] ?? '', /^hosts\.imca is no member of this cluster yet: .*\. Did you mean imac\?$/);
  t.is((await service.configShow()).text, policyOf('imac'));

  const { version, text, warnings } = await service.configApply({ ...misspelt, yes: true });
  t.deepEqual([version, text], [3, policyOf('imca')]);
  t.deepEqual(warnings, lines, 'what was done is told, too');
});

test('the waiting times that are told are those of the policy, and for the others the defaults', async t => {
  const service = await answers(t);
  const text = `${policyOf('imac')}timing: { surplus: 1h }\n`;
  await service.configApply({ text, fileName: 'p.yaml', yes: false });
  t.deepEqual(await service.timing(), { ...DEFAULT_TIMING, surplusMs: 3_600_000 });
});

test('what a policy has of strangers is told of again with each addition to it', async t => {
  const service = await answers(t);
  await service.configApply({ text: policyOf('imca'), fileName: 'p.yaml', yes: false });
  for (const added of [
    await service.configAddSource({ host: 'imac', name: 'docs', path: '/docs' }),
    await service.configAddStore({ host: 'imac', path: '/disk' }),
  ]) {
    t.regex((added.warnings ?? []).join('\n'), /^hosts\.imca is no member of this cluster yet[^\n]*$/);
  }
});
