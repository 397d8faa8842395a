import test from 'ava';
import { pino } from 'pino';
import { ClusterError } from '../../src/core/fault.js';
import { type HostId, sourceIdOf } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { clearHookAlarms, runWithHooks } from '../../src/daemon/hooked-run.js';
import type { HookCall } from '../../src/daemon/hooks.js';

const SOURCE = sourceIdOf('a'.repeat(32) as HostId, 'db');
const SNAPSHOT = { snapshot: 'ab'.repeat(32) };

function aSource({
  failing = [],
  ready = async () => undefined,
}: {
  readonly failing?: readonly string[];
  readonly ready?: () => Promise<void>;
} = {}) {
  const log = pino({ level: 'silent' });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const ran: string[] = [];
  const stop = new AbortController();
  const hooks = {
    run: async ({ moment, more = {} }: HookCall, signal: AbortSignal): Promise<void> => {
      signal.throwIfAborted();
      ran.push([moment, more.CLUSTER_OUTCOME, more.CLUSTER_ERROR].filter(Boolean).join(' '));
      if (failing.includes(moment)) throw new ClusterError('HOOK_FAILED', `${moment} failed`, { blame: 'operator' });
    },
  };
  const named = { before: 'x', after: 'x', onFailure: 'x', timeoutMs: 1_000 };
  const setting = { name: 'db', path: '/srv/db', hooks: named };
  const run = (work: () => Promise<typeof SNAPSHOT> = async () => SNAPSHOT) =>
    runWithHooks({ source: SOURCE, setting, hooks, alarms, log, ready, signal: stop.signal }, () => {
      ran.push('run');
      return work();
    });
  const codes = () => alarms.list().map(({ code }) => code);
  const texts = () => alarms.list().map(({ text }) => text);
  return { run, ran, stop, alarms, codes, texts, failing };
}

test('before, the run, and after', async t => {
  const { run, ran, codes } = aSource();
  t.is(await run(), SNAPSHOT);
  t.deepEqual(ran, ['before', 'run', 'after taken']);
  t.deepEqual(codes(), []);
});

test('what must hold before anything is begun is asked before the hooks, and where it does not the failure is told', async t => {
  const { run, ran, codes } = aSource({
    ready: async () => {
      throw new ClusterError('HEAD_FULL', 'no room', { blame: 'operator' });
    },
  });
  await t.throwsAsync(run(), { code: 'HEAD_FULL' });
  t.deepEqual(ran, ['onFailure no room']);
  t.deepEqual(codes(), []);
});

test('without before there is no run, nor anything to be undone', async t => {
  const { run, ran, codes } = aSource({ failing: ['before'] });
  await t.throwsAsync(run(), { code: 'HOOK_FAILED' });
  t.deepEqual(ran, ['before', 'onFailure before failed']);
  t.deepEqual(codes(), ['HOOK_FAILED']);
});

test('after a run that failed comes what undoes before, and the failure is that of the run', async t => {
  const { run, ran, codes } = aSource({ failing: ['after', 'onFailure'] });
  await t.throwsAsync(
    run(async () => {
      throw new Error('no room');
    }),
    { message: 'no room' },
  );
  t.deepEqual(ran, ['before', 'run', 'onFailure no room', 'after failed', 'onFailure after failed']);
  t.deepEqual(codes().sort(), ['BACKUP_FAILED', 'HOOK_FAILED', 'HOOK_FAILED']);
});

test('that nobody could be told of a failure is an alarm until that hook works, or nothing fails', async t => {
  const failing = ['onFailure'];
  const { run, codes, texts } = aSource({ failing });
  const runThatFails = () => run(() => Promise.reject(new Error('no room')));
  await t.throwsAsync(runThatFails());
  t.deepEqual(texts(), ['source db could not be backed up: no room', 'onFailure failed']);
  await run();
  t.deepEqual(codes(), []);
  await t.throwsAsync(runThatFails());
  failing.length = 0;
  await t.throwsAsync(runThatFails());
  t.deepEqual(codes(), ['BACKUP_FAILED']);
});

test('the alarm of a hook ends when the hook works, though the run then fails', async t => {
  const failing = ['before'];
  const { run, codes } = aSource({ failing });
  await t.throwsAsync(run());
  t.deepEqual(codes(), ['HOOK_FAILED']);
  failing.length = 0;
  await t.throwsAsync(run(() => Promise.reject(new Error('no room'))));
  t.deepEqual(codes(), ['BACKUP_FAILED']);
});

test('the alarms of the hooks of a source end when it leaves the policy', async t => {
  const { run, alarms, codes } = aSource({ failing: ['before', 'onFailure'] });
  await t.throwsAsync(run());
  t.is(codes().length, 2);
  clearHookAlarms(alarms, SOURCE);
  t.deepEqual(codes(), []);
});

test('a snapshot stays when only what comes after it fails, and the alarm ends with the next that does not', async t => {
  const failing = ['after'];
  const { run, ran, codes } = aSource({ failing });
  t.is(await run(), SNAPSHOT);
  t.deepEqual(ran, ['before', 'run', 'after taken', 'onFailure after failed']);
  t.deepEqual(codes(), ['HOOK_FAILED']);
  failing.length = 0;
  await run();
  t.deepEqual(codes(), []);
});

test('a run that fails is an alarm until one does not, and a source that is missing has its own', async t => {
  const { run, codes } = aSource();
  await t.throwsAsync(run(() => Promise.reject(new Error('no room'))));
  t.deepEqual(codes(), ['BACKUP_FAILED']);
  await run();
  t.deepEqual(codes(), []);
  await t.throwsAsync(run(() => Promise.reject(new ClusterError('SOURCE_MISSING', 'gone', { blame: 'operator' }))));
  t.deepEqual(codes(), []);
});

test('when the service stops in the midst of a run, before is undone, and nobody is told of a failure', async t => {
  const { run, ran, stop, codes } = aSource();
  await t.throwsAsync(
    run(async () => {
      stop.abort(new Error('the service stops'));
      throw stop.signal.reason;
    }),
    { message: 'the service stops' },
  );
  t.deepEqual(ran, ['before', 'run', 'after failed']);
  t.deepEqual(codes(), []);
});

test('of trouble of a disk the alarm tells the folder and what to do', async t => {
  const { run, texts } = aSource();
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    code: 'ENOSPC',
    path: '/srv/state/catalog/own-heads/1',
  });
  await t.throwsAsync(
    run(() => Promise.reject(full)),
    { code: 'ENOSPC' },
  );
  t.regex(
    texts()[0] ?? '',
    /^source db could not be backed up: there is no room left on the disk of \/srv\/state\/catalog\/own-heads .*Make room/,
  );
});
