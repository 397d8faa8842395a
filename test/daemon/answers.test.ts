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

test('a host whose name was misspelt in a new policy: its sources are told of, and the name', async t => {
  const service = await answers(t);
  const before = await service.configApply({ text: policyOf('imac'), fileName: 'p.yaml', yes: false });
  t.deepEqual(before.warnings, []);

  const misspelt = { text: policyOf('imca'), fileName: 'p.yaml', yes: false };
  const { version, text, warnings = [] } = await service.configApply(misspelt);
  t.deepEqual([version, text], [3, policyOf('imca')]);
  t.is(warnings.length, 2);
  t.regex(
    warnings[0] ?? '',
    /^imac\/photos \(\/home\/ann\/Pictures\) is no longer in the policy, so it is no longer backed up/,
  );
  t.regex(warnings[1] ?? '', /^hosts\.imca is no member of this cluster yet/);
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
