import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { COMMANDS, commandsIn } from '../../src/cli/commands.js';
import { ClusterError } from '../../src/core/fault.js';
import type { ScrubReport, Service } from '../../src/daemon/service.js';
import { Blobs, fileOf, parcelNumber, placed } from '../catalog/restore-fixture.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';
import { cluster, each, eachThenSilence, hostOf, MAIN, recordsOf, resolved, serve, statusOf } from './cli-fixture.js';

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

test('help takes all words of a command, and names what is none', async t => {
  const usage = async (...words: string[]) => /^Usage: .*/.exec((await cluster(words)).out)?.[0];
  t.is(await usage('help'), 'Usage: cluster [options] [command]');
  t.is(await usage('help', 'whereis'), await usage('ls-replicas', '--help'));
  t.is(await usage('help', 'config', 'add-source'), 'Usage: cluster config add-source [options] <host> <name> <path>');
  t.is(await usage('config', 'help', 'add-source'), await usage('help', 'config', 'add-source'));
  for (const [line, told] of [
    ['help nope', "'nope'"],
    ['help stauts', "'stauts'\n(Did you mean status?)"],
    ['help config add-sore', "'config add-sore'\n(Did you mean config add-store?)"],
    ['help status all', "'status all'"],
    ['config help nope', "'nope'"],
  ] as const)
    t.deepEqual(await cluster(line.split(' ')), { code: 2, out: '', err: `error: unknown command ${told}\n` });
  t.deepEqual(recordsOf((await cluster(['--json', 'help', 'nope'])).err), [
    { message_type: 'error', code: 'USAGE', message: "error: unknown command 'nope'" },
  ]);
});

test('where a command is missing --json gives one error record, and else the help is given', async t => {
  for (const words of [[], ['config']]) {
    const { code, out, err } = await cluster(['--json', ...words]);
    t.deepEqual([code, out], [2, '']);
    const [record, ...more] = recordsOf(err);
    t.like(record, { message_type: 'error', code: 'USAGE' });
    t.regex(String(record?.message), new RegExp(`^a command is missing: ${['cluster', ...words].join(' ')} `));
    t.deepEqual(more, []);
    t.regex((await cluster(words)).err, /^Usage: cluster .*Commands:/s);
  }
});

test('a policy is printed as it is into a pipe, and on a terminal without its control characters', async t => {
  const text = 'cluster: home # \u001b[2Jours';
  const stateDir = await serve(t, { configShow: async () => ({ text: `${text}\n`, version: 7, hash: 'h' }) });
  t.is((await cluster(['--state', stateDir, 'config', 'show'])).out, `${text}\n`);
  const shown = await onTerminal(`'${process.execPath}' '${MAIN}' --state '${stateDir}' config show`);
  if (shown === undefined) return skip(t, 'no script program gives a terminal');
  t.is(shown, 'cluster: home # \\x1b[2Jours\n');
});

test('the help of all commands fits 80 columns', async t => {
  const { code, out } = await cluster(['--help']);
  t.is(code, 0);
  t.true(out.split('\n').length > 30, out);
  for (const line of out.split('\n')) t.true(line.length <= 80, line);
  t.regex(out, /^ {2}restore \[source\] {2,}/m, 'that there are options is told by its own help');
});

/** What a shell's command prints on a terminal; undefined where there can be none. */
async function onTerminal(command: string): Promise<string | undefined> {
  const script = (...words: readonly string[]) =>
    promisify(execFile)('script', words, { timeout: 20_000 }).catch(() => ({ stdout: '' }));
  if (!(await script('--version')).stdout.includes('util-linux')) return undefined;
  const { stdout } = await script('--quiet', '--return', '--command', command, '/dev/null');
  return stdout.replaceAll('\r', '');
}

test('the help is broken into lines on a narrow terminal, too', async t => {
  const stdout = await onTerminal(`stty cols 60 && '${process.execPath}' '${MAIN}' --help`);
  if (stdout === undefined) return skip(t, 'no script program gives a terminal');
  const lines = stdout.split('\n');
  t.true(lines.length > 60, stdout);
  for (const line of lines) t.true(line.length <= 60, line);
});

test('a refusal of the service is printed with its message, and its code becomes the exit code', async t => {
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
  t.deepEqual([unknown.code, unknown.err], [2, 'cluster: no source "x"; there are: photos\n']);
  t.is((await cluster(['--state', stateDir, 'invite'])).code, 12);
  const file = join(temporaryFolder(t), 'policy.yaml');
  writeFileSync(file, 'cluster: home\n');
  const policy = await cluster(['--state', stateDir, 'config', 'apply', file]);
  t.is(policy.code, 2);
  t.true(policy.err.includes(`${file}:3:5: copies`));
});

test('control characters in data from elsewhere never reach the terminal', async t => {
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

test('a signal ends a command with 130 that waits for its standard input', async t => {
  const stateDir = await serve(t, {});
  for (const words of [
    ['join', '-'],
    ['config', 'apply', '-'],
    ['config', 'plan', '-'],
  ]) {
    const options = { timeout: 20_000, killSignal: 'SIGKILL' } as const;
    const child = spawn(process.execPath, [MAIN, '--state', stateDir, ...words], options);
    const ended = once(child, 'exit');
    // Only once it reads is its pipe drained.
    await new Promise(resolve => child.stdin.write('x'.repeat(1_000_000), resolve));
    child.kill(words[0] === 'join' ? 'SIGINT' : 'SIGTERM');
    t.deepEqual(await ended, [130, null], words.join(' '));
  }
});

test('what stands on standard input is limited', async t => {
  const stateDir = await serve(t, {});
  const { code, err } = await cluster(['--state', stateDir, 'join', '-'], { input: 'x'.repeat(1_048_577) });
  t.is(code, 2);
  t.regex(err, /more than 1048576 bytes on stdin/);
});

test('SIGTERM ends a command with 130', async t => {
  const stateDir = await serve(t, { statusChanges: signal => eachThenSilence(signal, statusOf()) });
  const kill = { signal: 'SIGTERM', when: /status/ } as const;
  t.is((await cluster(['--state', stateDir, 'status', '--watch', '--json'], { kill })).code, 130);
});

test('a service that is stopped but does not end cleanly exits 1 and says why, in its log too', async t => {
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

/** A command whose reader goes away after its first line. */
async function withHead(stateDir: string, ...args: readonly string[]): Promise<readonly [string, string]> {
  const script = '{ "$@"; echo "exit $?" >&2; } | head -n 1';
  const child = spawn('sh', ['-c', script, 'sh', process.execPath, MAIN, '--state', stateDir, ...args], {
    timeout: 20_000,
  });
  const [out, err] = await Promise.all([child.stdout.toArray(), child.stderr.toArray()]);
  return [out.join(''), err.join('')];
}

test('a command that only reports ends quietly when its reader closes the pipe', async t => {
  const stateDir = await serve(t, {
    resolve: async () => resolved(),
    async *entries() {
      for (let index = 0; ; index += 1)
        yield { entry: fileOf(`file ${String(index).padStart(9, '0')}`, 'x'), parcel: parcelNumber(index) };
    },
  });
  t.deepEqual(await withHead(stateDir, 'ls', 'photos'), ['file 000000000\n', 'exit 0\n']);
});

test('a command that does something runs to its end after its reader has closed the pipe, and exits as usual', async t => {
  const lines = 10_000;
  const given = { drill: 0, scrub: 0 };
  const read: ScrubReport = {
    stores: 1,
    parcels: 1,
    bytes: 1,
    ofParcels: 1,
    ofBytes: 1,
    corrupt: 1,
    unread: 0,
    catalog: 0,
    unreadCatalogs: 0,
    absentStores: [],
  };
  const stateDir = await serve(t, {
    async *drill() {
      for (; given.drill < lines; given.drill += 1)
        yield {
          source: 'photos',
          path: Buffer.from('a'),
          bytes: 1,
          failure: { because: 'nobody gives it', hosts: [] },
        };
    },
    async *scrub() {
      for (; given.scrub < lines; given.scrub += 1) yield read;
    },
    resolve: async () => resolved(),
    async *entries() {
      for (let index = 0; index < lines; index += 1)
        yield { entry: fileOf(`file ${String(index).padStart(9, '0')}`, 'x'), parcel: parcelNumber(1) };
      yield { entry: fileOf('last', ''), parcel: parcelNumber(1) };
    },
    async *content({ blobs: [blob] }) {
      yield { kind: 'unavailable', blob: blob as never, because: 'nobody gives it', hosts: [] };
    },
  });
  const [, drilled] = await withHead(stateDir, '--json', 'drill');
  t.deepEqual([drilled, given.drill], ['exit 22\n', lines]);
  const [, scrubbed] = await withHead(stateDir, '--json', 'scrub');
  t.regex(scrubbed, /^1 parcel had wrong .*\nexit 1\n$/);
  t.is(given.scrub, lines);
  const target = join(temporaryFolder(t), 'out');
  const [problem, restored] = await withHead(stateDir, '--json', 'restore', 'photos', '--target', target);
  t.regex(problem, /^\{"message_type":"problem"/);
  t.is(restored, 'exit 3\n');
  t.true(existsSync(join(target, 'last')));
});

test('output that cannot be written, as on a full disk, is reported in one line, and the exit code is 1', async t => {
  let drilled = 0;
  const stateDir = await serve(t, {
    resolve: async () => resolved(),
    async *entries() {
      for (let index = 0; ; index += 1) yield { entry: fileOf(`file ${index}`, 'x'), parcel: parcelNumber(index) };
    },
    async *drill() {
      for (; drilled < 1_000; drilled += 1) yield { source: 'photos', path: Buffer.from('a'), bytes: 1 };
    },
  });
  const run = async (...args: readonly string[]): Promise<readonly [number | null, string]> => {
    // Open for reading alone, it takes nothing, on any system.
    const child = spawn(process.execPath, [MAIN, '--state', stateDir, ...args], {
      timeout: 20_000,
      stdio: ['ignore', openSync(MAIN, 'r'), 'pipe'],
    });
    const [err, [code]] = await Promise.all([child.stderr?.toArray() ?? [], once(child, 'exit')]);
    return [code as number | null, err.join('')];
  };
  const told = /^cluster: the output could not be written, so what stands there is not all of it: EBADF.*\n$/;
  for (const args of [['ls', 'photos'], ['hosts', '--help'], ['--version']]) {
    const [code, err] = await run(...args);
    t.is(code, 1, err);
    t.regex(err, told);
  }
  // What does something has done it.
  const [code, err] = await run('--json', 'drill');
  t.deepEqual([code, drilled], [1, 1_000]);
  t.like(recordsOf(err), [{ message_type: 'error', code: 'OUTPUT_LOST' }]);
});

test('a command also goes on when nobody can read its stderr', async t => {
  const stateDir = await serve(t, {
    resolve: async () => resolved({ unreachable: { parcels: 1, bytes: 1, hosts: ['pi'] } }),
    entries: () => each(...placed([fileOf('a', 'x'), fileOf('b', '')])),
    content: (request, signal) => new Blobs().frames(request, signal),
  });
  const target = join(temporaryFolder(t), 'out');
  const args = [MAIN, '--state', stateDir, 'restore', 'photos', '--target', target];
  const child = spawn(process.execPath, args, { timeout: 20_000 });
  child.stderr.destroy();
  const [code] = await once(child, 'exit');
  t.is(code, 3);
  t.true(existsSync(join(target, 'b')));
});

test('a command is loaded by every name that it has', async t => {
  for (const { names, load } of COMMANDS) {
    const command = (await load())(() => async () => {});
    t.deepEqual([command.name(), ...command.aliases()], names);
  }
});

test('when the words name several commands each of them may be meant, and when they name none, any', t => {
  const typed = (...words: string[]) => commandsIn(words).map(({ names: [name] }) => name);
  t.deepEqual(typed('--state', 'backup', 'whereis', 'find'), ['backup', 'find', 'ls-replicas']);
  t.is(commandsIn(['--help']), COMMANDS);
  t.is(commandsIn(['bakup', 'photos']), COMMANDS);
});
