import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { type HookCall, Hooks } from '../../src/daemon/hooks.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';

/** Above what any of these programs takes on a busy machine. */
const WAIT_MS_MAX = 20_000;
/** Longer than any test waits for its end, and no longer: it is left to itself where a test's process is killed. */
const LEFT_RUNNING_S = 60;

function aFolder(t: ExecutionContext) {
  const stateDir = temporaryFolder(t);
  mkdirSync(join(stateDir, 'hooks'));
  const lines: Record<string, unknown>[] = [];
  const log = pino({}, { write: line => void lines.push(JSON.parse(line)) });
  const hooks = new Hooks({ stateDir, log });
  const install = (name: string, text: string, mode = 0o700): void => {
    writeFileSync(join(stateDir, 'hooks', name), text);
    chmodSync(join(stateDir, 'hooks', name), mode);
  };
  const run = (name: string, more: Partial<HookCall> = {}, signal = new AbortController().signal): Promise<void> =>
    hooks.run({ name, moment: 'before', source: 'db', path: '/srv/db', timeoutMs: WAIT_MS_MAX, ...more }, signal);
  return { stateDir, install, run, lines };
}

/** Whether the process whose id is in that file has ended. */
function isOver(pidFile: string): boolean {
  const pid = readFileSync(pidFile, 'utf8').trim();
  return !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
}

/** That process, if it was begun, ends with the test. */
function endsWith(t: ExecutionContext, pidFile: string): void {
  t.teardown(() => {
    if (existsSync(pidFile) && !isOver(pidFile)) process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
  });
}

const failure = (message: RegExp) => ({ code: 'HOOK_FAILED', message });

test('a hook learns of the source and of nothing secret, and what it says is in the log', async t => {
  process.env.SOME_SECRET = 'x';
  const { stateDir, install, run, lines } = aFolder(t);
  install(
    'dump',
    `#!/bin/sh\nenv > ${join(stateDir, 'env')}\npwd >> ${join(stateDir, 'env')}\necho out; echo err >&2\n`,
  );
  await run('dump', { more: { CLUSTER_OUTCOME: 'taken' } });
  const env = readFileSync(join(stateDir, 'env'), 'utf8').split('\n');
  for (const line of ['CLUSTER_SOURCE=db', 'CLUSTER_PATH=/srv/db', 'CLUSTER_HOOK=before', 'CLUSTER_OUTCOME=taken', '/'])
    t.true(env.includes(line), line);
  t.false(env.some(line => line.startsWith('SOME_SECRET')));
  t.like(lines[0], { code: 'HOOK_RAN', hook: 'dump', exitCode: 0, output: 'out\nerr' });
});

test('a hook that fails says how, with the end of what it said', async t => {
  const { install, run } = aFolder(t);
  install('dump', '#!/bin/sh\nseq 1 100000\necho the disk is full\nexit 7\n');
  await t.throwsAsync(
    run('dump'),
    failure(/its before hook dump failed: it ended with 7; the end of what it said: .*the disk is full$/s),
  );
  install('killed', '#!/bin/sh\nkill -9 $$\n');
  await t.throwsAsync(run('killed'), failure(/ended by SIGKILL/));
  install('no-program', '#!/no/such/interpreter\n');
  await t.throwsAsync(run('no-program'), failure(/could not be started/));
});

test('a hook may take longer than a timer of Node can be', async t => {
  const { install, run } = aFolder(t);
  install('slow', '#!/bin/sh\nsleep 0.1\n');
  await t.notThrowsAsync(run('slow', { timeoutMs: 2 ** 31 }));
});

test('a hook that takes too long is ended with all that it started', async t => {
  const { stateDir, install, run } = aFolder(t);
  const pidFile = join(stateDir, 'pid');
  install('hang', `#!/bin/sh\nsleep ${LEFT_RUNNING_S} &\necho $! > ${pidFile}\nwait\n`);
  endsWith(t, pidFile);
  await t.throwsAsync(run('hang', { timeoutMs: 1_000 }), failure(/not done after 1 s and was ended/));
  await t.notThrowsAsync(until('it is over', () => isOver(pidFile)));
});

/** In place of what a service that is not root meets when a group is of another user: what it sends does not arrive. */
function mayNotSend(t: ExecutionContext, signals: readonly string[]): void {
  const { kill } = process;
  t.teardown(() => Object.assign(process, { kill }));
  const refusing = (pid: number, signal: string): true => {
    if (pid < 0 && signals.includes(signal)) throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
    return kill(pid, signal);
  };
  Object.assign(process, { kill: refusing });
}

test.serial('what a hook left as another user is told of, and does not end the service', async t => {
  const { stateDir, install, run, lines } = aFolder(t);
  const pidFile = join(stateDir, 'pid');
  install('hang', `#!/bin/sh\nsleep ${LEFT_RUNNING_S} &\necho $! > ${pidFile}\nwait\n`);
  endsWith(t, pidFile);
  mayNotSend(t, ['SIGKILL']);
  await t.throwsAsync(run('hang', { timeoutMs: 1_000 }), failure(/was ended, but for what it runs as another user/));
  t.like(lines[0], { code: 'HOOK_RAN', timedOut: true, leftRunning: true });
  t.like(lines[1], { code: 'HOOK_LEFT_RUNNING', hook: 'hang' });
});

test.serial('a hook that is of another user as a whole is not waited for when its time is up', async t => {
  const { stateDir, install, run } = aFolder(t);
  const pidFile = join(stateDir, 'pid');
  install('hang', `#!/bin/sh\necho $$ > ${pidFile}\nexec sleep ${LEFT_RUNNING_S}\n`);
  endsWith(t, pidFile);
  mayNotSend(t, ['SIGTERM', 'SIGKILL']);
  await t.throwsAsync(run('hang', { timeoutMs: 1_000 }), failure(/that goes on/));
  t.false(isOver(pidFile));
});

test('a hook that cannot be started for want of descriptors is a failure, and not the end of the service', t => {
  const { stateDir, install } = aFolder(t);
  install('dump', '#!/bin/sh\n');
  const script = fileURLToPath(new URL('./hook-without-files-run.js', import.meta.url));
  const limited = ['-c', 'ulimit -n 100 && exec "$0" "$@"', process.execPath, script, stateDir];
  const { status, stdout, stderr } = spawnSync('sh', limited, { encoding: 'utf8', timeout: WAIT_MS_MAX });
  t.is(status, 0, stderr);
  t.regex(stdout, /HOOK_FAILED .*could not be started: spawn .* EMFILE/);
});

test('a hook has ended when it has, though what it left running keeps its output open', async t => {
  const { stateDir, install, run, lines } = aFolder(t);
  const pidFile = join(stateDir, 'pid');
  install('leaves', `#!/bin/sh\nsleep ${LEFT_RUNNING_S} &\necho $! > ${pidFile}\necho said\n`);
  endsWith(t, pidFile);
  await run('leaves');
  t.like(lines[0], { exitCode: 0, output: 'said' });
  t.false(isOver(pidFile));
});

test('a hook ends when the service stops, and that is no failure of it', async t => {
  const { stateDir, install, run } = aFolder(t);
  const begun = join(stateDir, 'begun');
  install('hang', `#!/bin/sh\ntouch ${begun}\nsleep ${LEFT_RUNNING_S}\n`);
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const running = run('hang', {}, stop.signal);
  await until('it has begun', () => existsSync(begun));
  stop.abort(new Error('the service stops'));
  await t.throwsAsync(running, { message: 'the service stops' });
  await t.throwsAsync(run('hang', {}, stop.signal), { message: 'the service stops' });
});

test('what others could change, what is no program and what is not there is not run', async t => {
  const { stateDir, install, run } = aFolder(t);
  await t.throwsAsync(run('absent'), failure(/there is no .*absent/));
  install('plain', '#!/bin/sh\n', 0o600);
  await t.throwsAsync(run('plain'), failure(/is no executable file/));
  install('open', '#!/bin/sh\n', 0o720);
  await t.throwsAsync(run('open'), failure(/can be changed by others/));
  install('good', '#!/bin/sh\n');
  symlinkSync(join(stateDir, 'hooks', 'good'), join(stateDir, 'hooks', 'link'));
  await t.throwsAsync(run('link'), failure(/is no executable file/));
  await t.notThrowsAsync(run('good'));
});
