/** Config planning: of which changes the places of copies depend. */
import test from 'ava';
import type { ClusterConfig, Member } from '../../src/core/cluster-config.js';
import { type HostId, type StoreId, sourceIdOf } from '../../src/core/ids.js';
import { configPlan } from '../../src/daemon/config-planning.js';
import { parsePolicy } from '../../src/membership/parse-policy.js';
import { hostOf } from '../cli/cli-fixture.js';

const MINI = 'a'.repeat(32) as HostId;
const PICS = sourceIdOf(MINI, 'pics');
const policyText = (host = '', source = '', more = ''): string =>
  `cluster: home\nhosts:\n  mini:\n    stores: [{ path: /disk, limit: 1 GB }]${host}\n    sources: { pics: { path: /pics, copies: 2${source} }${more} }\n`;

/** The plan of a policy that takes the place of `policyText()`. */
function planOf(text: string) {
  const [before, after] = [policyText(), text].map(one => parsePolicy(one).policy) as [never, never];
  const { hosts } = parsePolicy(text).policy;
  const setting = hosts.get('mini');
  const member = { host: MINI, name: 'mini', domain: setting?.domain ?? MINI, roaming: setting?.roaming ?? false };
  const sources = setting?.sources.map(({ name, copies }) => ({ source: sourceIdOf(MINI, name), copies })) ?? [];
  const store = { id: 'b'.repeat(32) as StoreId, path: '/disk', lentBytes: 1e9, usedBytes: 0, mounted: true };
  return configPlan({
    planned: {
      changed: true,
      changes: [],
      losses: [],
      notes: [],
      before,
      after,
      clusterConfig: { members: [member as Member], sources, timing: {} } as unknown as ClusterConfig,
    },
    hosts: [hostOf({ name: 'mini', id: MINI, domain: MINI, stores: [store] })],
    copiesNow: source => (source === PICS ? 2 : undefined),
  });
}

test('copies move by stores, domains, roaming and copies, and by nothing else', t => {
  for (const text of [policyText(), policyText('', ', every: 2h'), policyText('\n    limits: { upload: 1 MB }')])
    t.is(planOf(text).moves, undefined, text);
  t.is(planOf(policyText('\n    domain: attic')).moves?.hosts[0]?.domain, 'attic');
  t.true(planOf(policyText('\n    roaming: true')).moves?.hosts[0]?.roaming);
  t.is(planOf(policyText().replace('1 GB', '500 MB')).moves?.hosts[0]?.stores[0]?.lentBytes, 500_000_000);
  t.deepEqual(planOf(policyText().replace('copies: 2', 'copies: 3')).moves?.copies, [{ source: PICS, copies: 3 }]);
});

test('of a new source nothing is known, and that is told', t => {
  t.regex(
    planOf(policyText('', '', ', docs: { path: /docs }')).moves?.guesses.join() ?? '',
    /^mini\/docs is new: how much it is nobody has seen yet$/,
  );
});
