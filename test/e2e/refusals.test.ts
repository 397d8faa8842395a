/**
 * Refusals: what the command says, and how it ends, when it cannot do what it was asked; and that nothing was changed.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type Ended, RealCluster } from '../helpers/real-cluster.js';
import { unprivileged } from '../helpers/unprivileged.js';
import { makePlainTree } from './plain-tree.js';

/** What a command that failed printed, as text and as the error record that scripts get. */
function refusal(t: { is(is: unknown, was: unknown, why?: string): void }, ended: Ended, code: number): string {
  t.is(ended.code, code, ended.out + ended.err);
  t.is(ended.out, '');
  return ended.err;
}

test.serial('a command without a cluster, or without its service, says so', async t => {
  const cluster = new RealCluster(t);
  const a = cluster.add('a');
  for (const command of [['status'], ['up'], ['backup', 'pics'], ['restore', 'pics', '--target', cluster.path('x')]]) {
    const absent = refusal(t, await a.run(...command), 10);
    t.true(absent.includes(a.state) && /cluster init/.test(absent), absent);
  }
  mkdirSync(a.state);
  t.regex(refusal(t, await a.run('status'), 10), /no cluster here/);
  t.regex(refusal(t, await a.run('up'), 10), /cluster init/);

  await a.ok('init', '--name', 'home', '--host', 'a');
  for (const command of [['status'], ['hosts'], ['invite'], ['config', 'show'], ['snapshots']]) {
    t.regex(refusal(t, await a.run(...command), 11), /the service is not running .* 'cluster up'/);
  }
  const [record] = (await a.run('--json', 'status')).err.split('\n');
  t.like(JSON.parse(record ?? ''), { message_type: 'error', code: 'SERVICE_NOT_RUNNING' });

  for (const option of ['--listen', '--peer']) {
    t.regex(
      refusal(t, await a.run('up', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0', option, 'nonsense'), 2),
      /^cluster: "nonsense" is no multiaddr, .*nothing was started\n$/,
    );
  }

  // A second founding would lose the first.
  t.is((await a.run('init', '--name', 'other')).code, 2);
  await a.up();
  t.is((await a.status()).cluster, 'home');
  // One service a state folder.
  const second = await a.run('up', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0');
  t.is(second.code, 1);
  t.regex(second.err, /lock|runs|running/);
  t.is((await a.status()).host, 'a');
});

test.serial('a state folder that this user may not enter is not taken for one without a cluster', async t => {
  const cluster = new RealCluster(t);
  const a = cluster.add('a', unprivileged());
  await a.ok('init', '--name', 'home', '--host', 'a');
  chmodSync(a.state, 0);
  for (const command of [['status'], ['up'], ['init', '--name', 'other'], ['join', 'token']]) {
    const said = refusal(t, await a.run(...command), 12);
    t.true(said.includes(a.state) && /nothing was done.*sudo/.test(said) && !/cluster init/.test(said), said);
  }
  chmodSync(a.state, 0o700);
  refusal(t, await a.run('status'), 11);
});

test.serial("a state folder is refused when its socket's path would be even one byte too long", async t => {
  const cluster = new RealCluster(t);
  const longest = 100 - cluster.path('.state', 'control.sock').length;
  const fits = cluster.add('f'.repeat(longest));
  await fits.ok('init', '--name', 'home', '--host', 'fits');
  await fits.up();
  t.is((await fits.status()).host, 'fits');

  const long = cluster.add('l'.repeat(longest + 1));
  await long.ok('init', '--name', 'home', '--host', 'long');
  for (const command of [['up', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'], ['status']]) {
    t.regex(refusal(t, await long.run(...command), 2), /socket's path has 101 bytes, but sockets allow 100: .*--state/);
  }
});

test.serial('tokens that are damaged, expired, used up or useless to this host admit nobody', async t => {
  const cluster = new RealCluster(t);
  const [a] = await cluster.found(['a']);
  const token = await a.invite();
  const b = cluster.add('b');
  const join = (...args: string[]): Promise<Ended> => b.run('join', '--host', 'b', '--no-mdns', ...args);

  const middle = Math.floor(token.length / 2);
  const typo = token.slice(0, middle) + (token[middle] === 'a' ? 'b' : 'a') + token.slice(middle + 1);
  for (const damaged of [typo, token.slice(0, -3), 'scatterhoard1', 'not a token']) {
    const said = refusal(t, await join(damaged), 2);
    t.regex(said, /token/);
  }
  const [shortLived] = await a.records('invite', '--expires', '1s');
  const untilMs = Date.parse(String(shortLived?.until));
  await cluster.until('its second to pass', () => Date.now() > untilMs);
  t.regex(refusal(t, await join(String(shortLived?.token)), 12), /expired/);

  // The right one still works; and once only.
  t.is((await join(token)).code, 0);
  const c = cluster.add('c');
  const late = await c.run('join', token, '--host', 'c', '--no-mdns');
  t.regex(refusal(t, late, 12), /used/);
  // Who is in needs no token.
  const again = await join(await a.invite());
  t.is(again.code, 2);
  t.regex(again.err, /already/);
  t.deepEqual(
    (await a.status()).hosts.map(({ name }) => name),
    ['a', 'b'],
  );
  // A name that is taken is no reason to refuse, but is told.
  const named = await c.run('join', await a.invite(), '--host', 'a', '--no-mdns');
  t.is(named.code, 0, named.err);
  t.regex(named.out, / as a-2,/);
  t.regex(named.err, /The name a is another host's.* called a-2/);
});

test.serial('a wrong policy changes nothing, and one that takes something away must be confirmed', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 20, name: 'files' });
  const [a, b] = await cluster.found(['a', 'b']);
  const plan = {
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      b: { stores: [{ path: cluster.makeFolder('b.store'), limit: '1 GB' }] },
    },
  };
  await cluster.apply(plan);
  const inForce = await a.ok('config', 'show');

  const file = cluster.path('wrong.yaml');
  const wrong: readonly [string, RegExp][] = [
    ['cluster: home\nhosts:\n  b:\n    stores:\n      - { path: relative }\n', /wrong\.yaml:5:17: .*"relative"/],
    ['cluster: home\ndefaults: { copies: 0 }\n', /wrong\.yaml:2:21: .*\b0\b.*1 to 32/],
    ['cluster: home\nhost: {}\n', /wrong\.yaml:2:1: .*host.*hosts/],
    ['cluster: home\nhosts: {\n', /wrong\.yaml:\d+:\d+: /],
    ['cluster: home\ntiming: { heartbeat: 1ms }\n', /wrong\.yaml:2:22: .*1ms.*100/],
  ];
  for (const [text, expected] of wrong) {
    writeFileSync(file, text);
    t.regex(refusal(t, await a.run('config', 'apply', file), 2), expected);
  }
  const absent = cluster.path('absent.yaml');
  t.regex(refusal(t, await a.run('config', 'apply', absent), 2), /absent\.yaml.*[Nn]othing was changed/);

  // Less safe than before: only when it is meant.
  const fewer = cluster.policyFile({ ...plan, defaults: { copies: 1 } });
  t.regex(refusal(t, await a.run('config', 'apply', fewer), 2), /copies.*--yes|--yes.*copies/s);
  const noStore = cluster.policyFile({ ...plan, hosts: { ...plan.hosts, b: {} } });
  t.regex(refusal(t, await a.run('config', 'apply', noStore), 2), /--yes/);
  const misspelt = cluster.policyFile({ ...plan, hosts: { aa: plan.hosts.a, b: plan.hosts.b } });
  const said = refusal(t, await a.run('config', 'apply', misspelt), 2);
  t.regex(said, /--yes.*\n.*hosts\.a is left out.*\n.*a\/pics .*is archived.*\n.*hosts\.aa .*Did you mean a\?/);
  t.is(await a.ok('config', 'show'), inForce);

  // Only where the admin key is; and it says where that is.
  await b.sees('the policy', ({ sources }) => sources.length === 1);
  for (const command of [['config', 'apply', fewer], ['invite'], ['config', 'add-store', 'b', cluster.path('x')]]) {
    const said = refusal(t, await b.run(...command), 12);
    t.regex(said, /admin key.*: a\b/);
  }
  t.is(await b.ok('config', 'show'), inForce);
  const nobody = await a.run('config', 'add-store', 'nobody', cluster.path('x'));
  t.is(nobody.code, 2);
  t.regex(nobody.err, /no host "nobody".*a, b/);

  await cluster.apply({ ...plan, defaults: { copies: 1 } }, { yes: true });
  await a.ok('status', '--wait', 'protected', '--timeout', '30s');
});

test.serial('a backup or restore that is impossible says why, and status tells a script what is short', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 60, name: 'files' });
  const [a, b] = await cluster.found(['a', 'b']);
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source }, gone: { path: cluster.path('no such folder'), copies: 1 } } },
      b: { stores: [{ path: cluster.makeFolder('b.store'), limit: '1 GB' }] },
    },
  });

  t.regex((await a.run('backup', 'nothing')).err, /no source "nothing"; there are: .*pics/);
  const missing = await a.run('backup', 'gone');
  t.is(missing.code, 1);
  t.regex(missing.err, /gone was not backed up: .*no such folder/);

  // One host lends room, and two copies are wanted: one is made, and what is short is told.
  const waited = await a.run('backup', 'pics', '--wait', '--timeout', '3s');
  t.is(waited.code, 20, waited.err);
  t.regex(waited.err, /not protected after 3 s/);
  await a.sees('one copy of everything', ({ sources }) => {
    const pics = sources.find(({ source: name }) => name === 'pics');
    return pics !== undefined && pics.parcels.wanted > 0 && pics.parcels.haveMin === 1;
  });
  const status = await a.run('status');
  t.is(status.code, 20);
  t.regex(status.out, /TOO_FEW_HOSTS.*pics wants 2 copies.*add a store on another host/);
  t.regex(status.out, /missing source gone/);
  t.is((await a.run('status', '--wait', 'protected', '--timeout', '1s')).code, 20);

  // Asked on another host, it is taken where the source is.
  await b.sees('the source', ({ sources }) => sources.some(({ source: name }) => name === 'pics'));
  const taken = await b.records('backup', 'pics');
  t.like(taken[0], { message_type: 'snapshot', source: 'pics', origin: 'a', files: 60, unchanged: true });
  await b.sees('that snapshot', ({ sources }) => sources.some(({ lastSnapshot }) => lastSnapshot?.id === taken[0]?.id));
  t.like((await a.records('snapshots', 'pics')).at(-1), { id: taken[0]?.id });

  // One copy is enough to restore from; but not over what is there.
  const target = cluster.makeFolder('target');
  writeFileSync(join(target, 'mine'), 'mine');
  t.regex(
    refusal(t, await b.run('restore', 'pics', '--target', target), 2),
    /not empty: it holds mine\. .*--overwrite/,
  );
  t.regex(refusal(t, await b.run('restore', 'pics', '--target', join(target, 'mine')), 2), /not a folder/);
  t.is((await b.run('restore', 'pics:files/nothing', '--target', cluster.path('out'))).code, 2);
  t.is((await b.run('restore', 'pics@abcdefab', '--target', cluster.path('out'))).code, 2);
  t.is((await b.run('restore', 'pics')).code, 2);
  t.is((await b.run('restore', 'pics', '--target', target, '--keep-existing')).code, 0);

  // And with the origin away it is not taken, but says so.
  await a.kill();
  await cluster.until('b to know that a is away', async () => (await b.run('backup', 'pics')).code === 1);
  t.regex((await b.run('backup', 'pics')).err, /a, the origin of pics, is not reachable now.*Switch it on/);
});
