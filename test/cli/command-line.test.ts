import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import type { Service } from '../../src/daemon/service.js';
import { fileOf, parcelNumber } from '../catalog/restore-fixture.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';
import { cluster, eachThenSilence, hostOf, recordsOf, resolved, serve, statusOf } from './cli-fixture.js';

test('without a state folder a command exits 10, and names the places it looked at', async t => {
  const { code, err, out } = await cluster(['status']);
  t.is(code, 10);
  t.regex(err, /no cluster here.*\/var\/lib\/scatterhoard.*init/);
  t.is(out, '');
});

test('a state folder without a cluster exits 10', async t => {
  t.is((await cluster(['hosts', '--state', temporaryFolder(t)])).code, 10);
});

test('a service that is not running exits 11 and says how to start it', async t => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'config'));
  const { code, err } = await cluster(['--state', folder, 'status']);
  t.is(code, 11);
  t.regex(err, /not running.*cluster up/);
});

test('a socket path that is too long exits 2', async t => {
  const folder = join(temporaryFolder(t), 'x'.repeat(100));
  mkdirSync(join(folder, 'config'), { recursive: true });
  const { code, err } = await cluster(['--state', folder, 'hosts', '--json']);
  t.is(code, 2);
  t.like(recordsOf(err)[0], { message_type: 'error', code: 'CONTROL_PATH_TOO_LONG' });
});

test('wrong usage exits 2, with a JSON error where one was asked for', async t => {
  t.is((await cluster([])).code, 2);
  t.is((await cluster(['restor'])).code, 2);
  t.regex((await cluster(['statu'])).err, /Did you mean status/);
  t.is((await cluster(['restore', 'photos'])).code, 2);
  t.is((await cluster(['invite', '--uses', '0'])).code, 2);
  t.is((await cluster(['invite', '--expires', '24'])).code, 2);
  t.is((await cluster(['config', 'add-store', 'imac', 'relative/path'])).code, 2);
  t.is((await cluster(['status', '--wait', 'something'])).code, 2);
  t.is((await cluster(['status', '--timeout', '1s'])).code, 2);
  t.like(recordsOf((await cluster(['status', '--bogus', '--json'])).err)[0], { message_type: 'error', code: 'USAGE' });
});

test('help and version exit 0', async t => {
  const help = await cluster(['--help']);
  t.is(help.code, 0);
  for (const word of ['init', 'join', 'whereis', 'restore']) t.regex(help.out, new RegExp(word));
  const version = await cluster(['--version']);
  t.is(version.out.trim(), (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version);
});

test('what the service refuses is printed with its message, and its code becomes the exit code', async t => {
  const stateDir = await serve(t, {
    snapshots: () =>
      Promise.reject(new ClusterError('SOURCE_UNKNOWN', 'no source "x"; there are: photos', { blame: 'operator' })),
    invite: () => Promise.reject(new ClusterError('NO_ADMIN_KEY', 'the admin key is on imac', { blame: 'operator' })),
    configApply: ({ fileName }) =>
      Promise.reject(
        new ClusterError('POLICY_INVALID', `${fileName}:3:5: copies: 0 is too few`, { blame: 'operator' }),
      ),
  });
  const unknown = await cluster(['--state', stateDir, 'snapshots', 'x']);
  t.deepEqual([unknown.code, unknown.err], [1, 'cluster: no source "x"; there are: photos\n']);
  t.is((await cluster(['--state', stateDir, 'invite'])).code, 12);
  const file = join(temporaryFolder(t), 'policy.yaml');
  writeFileSync(file, 'cluster: home\n');
  const policy = await cluster(['--state', stateDir, 'config', 'apply', file]);
  t.is(policy.code, 2);
  t.true(policy.err.includes(`${file}:3:5: copies`));
});

test('control characters from elsewhere never reach the terminal', async t => {
  const stateDir = await serve(t, {
    snapshots: () => Promise.reject(new ClusterError('X', 'a\u001b[2Jb\u202ec', { blame: 'operator' })),
    hosts: async () => [
      hostOf({
        domain: 'x',
        stores: [{ path: '/a\u001b[2J', lentBytes: 0, usedBytes: 0, mounted: false, because: 'gone' }],
      }),
    ],
  });
  const { err } = await cluster(['--state', stateDir, 'snapshots']);
  t.is(err, 'cluster: a\\x1b[2Jb\\u{202e}c\n');
  t.false((await cluster(['--state', stateDir, 'hosts'])).out.includes('\u001b'));
});

test('the state folder is --state, then $CLUSTER_STATE, then the one in $XDG_STATE_HOME', async t => {
  const named = (name: string): Partial<Service> => ({ status: async () => statusOf({ host: name }) });
  const [one, two] = [await serve(t, named('one')), await serve(t, named('two'))];
  const hostSeen = async (args: string[], env: Record<string, string>) =>
    recordsOf((await cluster([...args, 'status', '--json'], { env })).out)[0]?.host;
  t.is(await hostSeen(['--state', one], { CLUSTER_STATE: two }), 'one');
  t.is(await hostSeen([], { CLUSTER_STATE: two }), 'two');
  const home = temporaryFolder(t);
  mkdirSync(join(home, 'scatterhoard/config'), { recursive: true });
  t.regex(
    (await cluster(['status'], { env: { XDG_STATE_HOME: home } })).err,
    new RegExp(`${home}/scatterhoard/control.sock`),
  );
});

test('SIGTERM ends a command with 130', async t => {
  const stateDir = await serve(t, { statusChanges: signal => eachThenSilence(signal, statusOf()) });
  const kill = { signal: 'SIGTERM', when: /status/ } as const;
  t.is((await cluster(['--state', stateDir, 'status', '--watch', '--json'], { kill })).code, 130);
});

test('a service that was stopped and did not end cleanly exits 1 and says why, in its log too', async t => {
  const state = join(temporaryFolder(t), 'state');
  await cluster(['--state', state, 'init', '--name', 'home', '--host', 'imac']);
  const ready = until('the service answers', () => existsSync(join(state, 'control.sock'))).then(() => {
    rmSync(join(state, 'lock'));
    mkdirSync(join(state, 'lock'));
  });
  const { code, err } = await cluster(['--state', state, 'up', '--listen', '/ip4/127.0.0.1/tcp/0', '--no-mdns'], {
    kill: { signal: 'SIGTERM', when: ready },
  });
  t.is(code, 1);
  t.regex(err, /"code":"TEARDOWN_FAILED".*EISDIR/);
  t.regex(err, /^cluster: the service did not end cleanly: EISDIR/m);
  t.notRegex(err, /^interrupted$/m);
});

test('a reader that closes the pipe ends the command quietly', async t => {
  const stateDir = await serve(t, {
    resolve: async () => resolved(),
    async *entries() {
      for (let index = 0; ; index += 1)
        yield { entry: fileOf(`file ${String(index).padStart(9, '0')}`, 'x'), parcel: parcelNumber(index) };
    },
  });
  const main = fileURLToPath(new URL('../../src/cli/cluster.cjs', import.meta.url));
  const script = '{ "$@"; echo "exit $?" >&2; } | head -n 1';
  const child = spawn('sh', ['-c', script, 'sh', process.execPath, main, '--state', stateDir, 'ls', 'photos'], {
    timeout: 20_000,
  });
  const [out, err] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
  t.deepEqual([out.join(''), err.join('')], ['file 000000000\n', 'exit 0\n']);
});
