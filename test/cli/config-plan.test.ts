/** `cluster config plan`: what a policy would change, take away and move, from the service's word and by the hosts' own decisions. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import { ClusterError } from '../../src/core/fault.js';
import type { HostId, StoreId } from '../../src/core/ids.js';
import type { ConfigPlanReport, HostReport } from '../../src/daemon/service.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { cluster, each, HOST, hostOf, placementOf, recordsOf, SOURCE_ID, serve } from './cli-fixture.js';

const NOTHING: ConfigPlanReport = { changed: true, changes: ['policy of mini'], losses: [], warnings: [] };

/** An origin and three hosts with a store each; the first two of them hold five parcels. */
function aHouse() {
  const hosts = ['imac', 'mini', 'pi', 'nas'].map((name, i): HostReport => {
    const digit = String(i + 1);
    const id = i === 0 ? HOST : (digit.repeat(32) as HostId);
    const usedBytes = i === 1 || i === 2 ? 5_000_000 : 0;
    const store = { id: digit.repeat(32) as StoreId, path: '/srv', lentBytes: 1e9, usedBytes, mounted: true };
    return hostOf({ name, id, domain: id, self: i === 0, stores: i === 0 ? [] : [store] });
  });
  const holders = hosts.slice(1, 3).map(({ id, stores }) => ({ host: id, store: stores[0]?.id as StoreId }));
  return { hosts, placements: Array.from({ length: 5 }, (_, i) => placementOf(i, { holders })) };
}

/** Runs it against a service that has this to say. */
async function plan(t: ExecutionContext, report: ConfigPlanReport, ...words: readonly string[]) {
  const { hosts, placements } = aHouse();
  const file = join(temporaryFolder(t), 'p.yaml');
  writeFileSync(file, 'cluster: home\n');
  const asked: unknown[] = [];
  const stateDir = await serve(t, {
    configPlan: async request => {
      asked.push(request);
      return report;
    },
    hosts: async () => hosts,
    placements: () => each(...placements),
  });
  const ended = await cluster(['--state', stateDir, 'config', 'plan', file, ...words]);
  t.deepEqual(asked, [{ text: 'cluster: home\n', fileName: file }]);
  return ended;
}

test('what is changed, and what apply would ask about, is told; where no place depends on it nothing is simulated', async t => {
  const losses = ['photos: copies 3 → 2'];
  const told = await plan(t, { ...NOTHING, losses, warnings: ['hosts.moni is no member'] });
  t.is(told.code, 0);
  t.deepEqual(told.out.split('\n'), [
    'policy of mini',
    "'cluster config apply' asks for --yes, because:",
    '  photos: copies 3 → 2',
    'hosts.moni is no member',
    'no copy would be made or dropped because of it',
    '',
  ]);
  const odd = await plan(t, { ...NOTHING, losses: ['mini: /a\u001b[31m\nb'], warnings: ['\u001b[2J\nw'] });
  t.deepEqual(odd.out.split('\n').slice(2, 4), ['  mini: /a\\x1b[31m b', '\\x1b[2J w']);
  const json = await plan(t, { ...NOTHING, losses }, '--json');
  t.deepEqual(recordsOf(json.out), [
    {
      message_type: 'config_plan',
      changed: true,
      changes: ['policy of mini'],
      losses,
      warnings: [],
      guesses: [],
      needs_yes: true,
      moves: false,
    },
  ]);
  const same = await plan(t, { ...NOTHING, changed: false, changes: [] });
  t.regex(same.out, /^this policy is in force already\n/);
});

test('one copy more of each parcel goes to the host that has none, and nobody loses one', async t => {
  const { hosts } = aHouse();
  const moves = { hosts, copies: [{ source: SOURCE_ID, copies: 3 }], timing: DEFAULT_TIMING, guesses: ['a guess'] };
  const told = await plan(t, { ...NOTHING, moves });
  t.is(told.code, 0);
  t.regex(told.out, /\na guess\nphotos: 3 copies of each parcel in place of 2: 5 parcels, 5 MB\n/);
  t.regex(told.out, /\nmini\t5\tthe same\t5 MB\tthe same\n/);
  t.regex(told.out, /\nnas\t0\t5 \(\+5\)\t0 B\t5 MB \(\+5 MB\)\n/);
  t.regex(told.out, /\n {2}moved 5 MB in /);
  const json = recordsOf((await plan(t, { ...NOTHING, moves }, '--json')).out);
  t.deepEqual(
    json.map(({ message_type }) => message_type),
    ['config_plan', 'plan_copies', ...Array(4).fill('plan_move'), 'plan_phase'],
  );
  t.deepEqual(json[5], {
    message_type: 'plan_move',
    host: 'nas',
    copies: 0,
    copies_then: 5,
    used: 0,
    used_then: 5_000_000,
  });
  t.like(json[6], { moved: 5_000_000, short: 0, over: 0 });
});

test('a store that is taken out has its copies made elsewhere', async t => {
  const { hosts } = aHouse();
  const then = hosts.map(host => (host.name === 'mini' ? { ...host, stores: [] } : host));
  const moves = { hosts: then, copies: [{ source: SOURCE_ID, copies: 2 }], timing: DEFAULT_TIMING, guesses: [] };
  const { code, out } = await plan(t, { ...NOTHING, moves });
  t.is(code, 0);
  t.regex(out, /\nmini\t5\t0 \(−5\)\t5 MB\t0 B \(−5 MB\)\n/);
  t.regex(out, /\nnas\t0\t5 \(\+5\)\t/);
});

test('a policy that leaves too few copies in the end exits with 20', async t => {
  const { hosts } = aHouse();
  const moves = { hosts, copies: [{ source: SOURCE_ID, copies: 4 }], timing: DEFAULT_TIMING, guesses: [] };
  const { code, out } = await plan(t, { ...NOTHING, moves });
  t.is(code, 20);
  t.regex(out, /in the end copies of 5 parcels are missing:\n {4}too few hosts or domains/);
});

test('a wrong policy is refused as by apply', async t => {
  const stateDir = await serve(t, {
    configPlan: async () => {
      throw new ClusterError('POLICY_INVALID', 'stdin:2:1: copeis: unknown key', { blame: 'operator' });
    },
  });
  const { code, err } = await cluster(['--state', stateDir, 'config', 'plan', '-'], { input: 'copeis: 3\n' });
  t.is(code, 2);
  t.regex(err, /stdin:2:1: copeis/);
});
