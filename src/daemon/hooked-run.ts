/**
 * Hooked run: a run of a source with its hooks around it.
 *
 * `before` comes first: without it there is no run. Once `before` is done, `after` follows whatever became of the run,
 * because `before` may have stopped something that must start again. `onFailure` follows when any of these failed. A
 * snapshot that was taken stays when only what came after it failed.
 *
 * A hook that fails is an alarm until it succeeds, whatever becomes of the run. The alarm of `onFailure` also ends
 * with a run in which nothing failed, because then there is nothing for it to report.
 */
import type { Logger } from 'pino';
import { inWords } from '../core/disk-trouble.js';
import { ClusterError, messageOf } from '../core/fault.js';
import type { SourceId } from '../core/ids.js';
import type { SourceSetting } from '../membership/policy.js';
import type { Alarms } from './alarms.js';
import type { HookMoment, Hooks } from './hooks.js';
import { SomethingMissing } from './something-missing.js';

/** How long `after` may go on once the service stops, in ms: systemd waits for 90 s. */
const STOPPING_MS = 30_000;
const MOMENTS: readonly HookMoment[] = ['before', 'after', 'onFailure'];
/** A failure with one of these codes already is an alarm. */
const OWN_ALARM: readonly string[] = ['HEAD_DAMAGED', 'HEAD_FULL', 'HOLDS_FULL', 'HOOK_FAILED', 'SOURCE_MISSING'];

export interface HookedRunOptions {
  readonly source: SourceId;
  readonly setting: Pick<SourceSetting, 'name' | 'path' | 'hooks'>;
  readonly hooks: Pick<Hooks, 'run'>;
  readonly alarms: Alarms;
  readonly log: Logger;
  /** Checks what must hold before anything is begun; throws if it does not. */
  readonly ready: () => Promise<void>;
  /** Fires when the service stops. */
  readonly signal: AbortSignal;
}

/** @throws ClusterError HOOK_FAILED (`before`), and whatever `ready` and the run throw */
export async function runWithHooks<T extends { readonly snapshot: string }>(
  options: HookedRunOptions,
  run: () => Promise<T>,
): Promise<T> {
  const { source, alarms, signal } = options;
  await failingLoudly(options, async () => {
    await options.ready();
    await hook(options, 'before', {}, signal);
  });
  const running = failingLoudly(options, run);
  const outcome = await running.then(
    ({ snapshot }) => ({ CLUSTER_OUTCOME: 'taken', CLUSTER_SNAPSHOT: snapshot }),
    () => ({ CLUSTER_OUTCOME: 'failed' }),
  );
  const isAfterDone = await failingLoudly(options, () => after(options, outcome)).then(
    () => true,
    () => false, // it is an alarm already, and does not undo the snapshot
  );
  const taken = await running;
  alarms.clear('BACKUP_FAILED', source);
  if (isAfterDone) alarms.clear('HOOK_FAILED', subjectOf(source, 'onFailure'));
  return taken;
}

/** For a source that has left the policy. */
export function clearHookAlarms(alarms: Alarms, source: SourceId): void {
  for (const moment of MOMENTS) alarms.clear('HOOK_FAILED', subjectOf(source, moment));
}

/** Each hook of a source has an alarm of its own, which ends when that hook succeeds. */
const subjectOf = (source: SourceId, moment: HookMoment): string => `${source} ${moment}`;

/** Reports a failure to the `onFailure` hook, and raises an alarm. */
async function failingLoudly<T>(options: HookedRunOptions, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { source, setting, alarms, signal, log } = options;
    if (signal.aborted) throw error;
    const text = messageOf(inWords(error));
    const code = error instanceof ClusterError ? error.code : undefined;
    // Who asked to accept what is missing is told at once, and the next run raises what alarms there are.
    if (!(error instanceof SomethingMissing) && (code === undefined || !OWN_ALARM.includes(code)))
      alarms.raise('BACKUP_FAILED', source, `source ${setting.name} could not be backed up: ${text}`);
    await hook(options, 'onFailure', { CLUSTER_ERROR: text }, signal).catch((hookError: unknown) => {
      log.warn({ code: 'HOOK_FAILED', source, err: hookError }, 'the hook for failures failed');
    });
    throw error;
  }
}

/** Goes on for a while when the service stops. */
async function after(options: HookedRunOptions, outcome: Readonly<Record<string, string>>): Promise<void> {
  const { signal } = options;
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    timer = setTimeout(() => late.abort(signal.reason), STOPPING_MS);
  };
  if (signal.aborted) arm();
  else signal.addEventListener('abort', arm, { once: true });
  try {
    await hook(options, 'after', outcome, late.signal);
  } finally {
    signal.removeEventListener('abort', arm);
    clearTimeout(timer);
  }
}

async function hook(
  { source, setting: { name: sourceName, path, hooks: named }, hooks, alarms, signal: stopping }: HookedRunOptions,
  moment: HookMoment,
  more: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const name = named[moment];
  const subject = subjectOf(source, moment);
  try {
    if (name !== undefined)
      await hooks.run({ name, moment, source: sourceName, path, timeoutMs: named.timeoutMs, more }, signal);
    alarms.clear('HOOK_FAILED', subject);
  } catch (error) {
    const isItsOwn = error instanceof ClusterError && error.code === 'HOOK_FAILED';
    if (isItsOwn && !stopping.aborted) alarms.raise('HOOK_FAILED', subject, error.message);
    throw error;
  }
}
