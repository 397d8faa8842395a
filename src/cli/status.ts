/**
 * `cluster status`: is everything where it should be? Exits with 20 while something listed has too few copies, else
 * with 21 while a source is missing or its newest snapshot too old. With `--check`, for monitoring, else with 1 while
 * there is an alarm.
 *
 * `--wait` is about copies alone: waiting does not make a laptop that is away take a snapshot.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { ClusterError } from '../core/fault.js';
import type { SourceReport, StatusReport } from '../daemon/service.js';
import { durationArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { hostsTable } from './hosts.js';
import { statusRecord } from './records.js';
import type { Run } from './run.js';
import { coloured, countText, lineText, shortId, spanText, tableText, timeText } from './text.js';
import { limitsOnlyWaiting, timeLimit } from './time-limit.js';

interface StatusOptions {
  readonly wait?: 'protected' | 'settled';
  readonly timeout?: number;
  readonly watch?: boolean;
  readonly check?: boolean;
}

export const statusCommand = (run: Run): Command =>
  new Command('status')
    .description(
      'sources, hosts and alarms; exit code 20 while something that is listed has too few copies, else (not with --wait) 21 while a source is stale or missing',
    )
    .addOption(
      new Option(
        '--wait <state>',
        'wait until every newest snapshot has its copies (protected), or nothing is pending or over (settled)',
      )
        .choices(['protected', 'settled'])
        .conflicts('watch'),
    )
    .option('--timeout <duration>', 'with --wait: give up after this long, with exit code 20', durationArgument)
    .option('--watch', 'show it again whenever it changes, until interrupted')
    .addOption(
      new Option('--check', 'for monitoring: exit code 1 when there is an alarm, unless it is 20 or 21').conflicts([
        'wait',
        'watch',
      ]),
    )
    .action(run(showStatus));

async function showStatus(context: Context, { wait, timeout, watch, check }: StatusOptions): Promise<ExitCode> {
  limitsOnlyWaiting({ wait, timeout }, '--wait protected or --wait settled');
  const service = context.service();
  if (watch) {
    // A pipe gets every change. A terminal is redrawn at intervals: people read no faster than that, and they see ages
    // grow even while nothing changes.
    if (!context.isTerminal)
      for await (const status of service.statusChanges(context.signal)) await show(context, status);
    for (; context.isTerminal; await delay(REDRAW_MS, undefined, { signal: context.signal })) {
      const status = await service.status(context.signal);
      await context.print(CLEAR_SCREEN);
      await show(context, status);
    }
    return EXIT.ok;
  }
  if (wait === undefined) {
    const status = await service.status(context.signal);
    await show(context, status);
    const isStale = status.sources.some(({ fresh, missing }) => !fresh || missing !== undefined);
    if (isUnder(status)) return EXIT.underReplicated;
    if (isStale) return EXIT.stale;
    return check && status.alarms.length > 0 ? EXIT.failed : EXIT.ok;
  }
  using limit = timeLimit(context.signal, timeout);
  let last: StatusReport | undefined;
  try {
    for await (const status of service.statusChanges(limit.signal)) {
      last = status;
      if (status[wait]) break;
    }
  } catch (error) {
    if (!limit.isUp()) throw error;
  }
  last = await latest(context, last, wait);
  if (last !== undefined) await show(context, last);
  if (last?.[wait]) return isUnder(last) ? EXIT.underReplicated : EXIT.ok;
  throw new ClusterError(
    'WAIT_TIMEOUT',
    `not ${wait} after ${spanText(timeout ?? 0)}; nothing was changed, and the hosts go on copying`,
    {
      blame: 'passing',
    },
  );
}

/**
 * Asks once more, since the last change may be long ago and the ages shown must be right. If the state that was waited
 * for has come and gone again since, the report that had it counts.
 */
async function latest(
  context: Context,
  last: StatusReport | undefined,
  wait: 'protected' | 'settled',
): Promise<StatusReport | undefined> {
  using limit = timeLimit(context.signal, LAST_LOOK_MS);
  try {
    const now = await context.service().status(limit.signal);
    return last?.[wait] && !now[wait] ? last : now;
  } catch (error) {
    if (!limit.isUp()) throw error;
    return last;
  }
}

/** A service that answers takes much less; one that hangs must not hold up a person who gave `--timeout`. */
const LAST_LOOK_MS = 5_000;
const REDRAW_MS = 2_000;
/** Moves the cursor home, then erases the screen. */
const CLEAR_SCREEN = '\u001b[H\u001b[2J';

/** A snapshot that no host can give is as short of copies as can be. */
const isUnder = ({ sources }: StatusReport): boolean =>
  sources.some(({ parcels, lastSnapshot }) => parcels.under > 0 || lastSnapshot?.unreadable !== undefined);

async function show(context: Context, status: StatusReport): Promise<void> {
  if (context.json) return context.record(statusRecord(status));
  const words = [
    `cluster ${status.cluster}`,
    `host ${status.host}`,
    ...(status.pausedUntilMs === undefined
      ? []
      : [coloured('yellow', `paused until ${timeText(status.pausedUntilMs)}`)]),
    `configuration ${status.configVersion}`,
    status.protected ? coloured('green', 'protected') : coloured('yellow', 'not protected'),
    status.settled ? 'settled' : pendingText(status.pending),
  ];
  await context.printText(words.join(' · '));
  await context.print('');
  if (status.sources.length === 0) await context.print("no sources yet: 'cluster config add-source HOST NAME PATH'");
  else await context.print(sourcesTable(context.isTerminal, status.sources));
  await context.print('');
  await context.print(hostsTable(context.isTerminal, status.hosts));
  for (const { source, missing, lastSnapshot } of status.sources) {
    if (missing !== undefined)
      await context.printText(coloured('red', lineText(`missing source ${source}: ${missing}`)));
    if (lastSnapshot?.unreadable === undefined) continue;
    const what = `the last snapshot of ${source} cannot be read: ${lastSnapshot.unreadable}`;
    await context.printText(coloured('red', lineText(what)));
  }
  for (const { code, text, sinceMs } of status.alarms) {
    await context.printText(coloured('red', lineText(`alarm ${code}, for ${spanText(Date.now() - sinceMs)}: ${text}`)));
  }
  for (const { name, self, state, alarms = 0 } of status.hosts) {
    // Of one that is dead or shut out they are old, and it cannot be asked.
    if (self || alarms === 0 || state === 'dead' || state === 'revoked') continue;
    await context.printText(
      coloured('yellow', lineText(`${countText(alarms, 'alarm')} on ${name}: 'cluster status' there says more`)),
    );
  }
}

/** Always names fetches and claims, because a zero is news too; drops and relocations, which are rare, only if any. */
function pendingText({ fetches, claims, drops, relocations }: StatusReport['pending']): string {
  const parts = [`${countText(fetches, 'fetch', 'fetches')} here`, countText(claims, 'claim')];
  if (drops > 0) parts.push(countText(drops, 'drop'));
  if (relocations > 0) parts.push(countText(relocations, 'relocation'));
  return parts.join(', ');
}

function sourcesTable(isTerminal: boolean, sources: readonly SourceReport[]): string {
  return tableText(
    isTerminal,
    [
      { head: 'source' },
      { head: 'origin' },
      { head: 'copies', align: 'right' },
      { head: 'parcels', align: 'right' },
      { head: 'under', align: 'right' },
      { head: 'over', align: 'right' },
      { head: 'last snapshot' },
    ],
    sources.map(source => [
      source.source,
      source.origin,
      `${source.lastSnapshot === undefined ? '-' : source.parcels.haveMin}/${source.copies}`,
      String(source.parcels.wanted),
      String(source.parcels.under),
      String(source.parcels.over),
      lastText(source),
    ]),
  );
}

function lastText({ lastSnapshot, fresh, missing, archived, originRevoked }: SourceReport): string {
  const late = missing !== undefined ? ', missing' : fresh ? '' : ', stale';
  const state = archived ? ', archived' : originRevoked ? ', origin revoked' : late;
  if (lastSnapshot === undefined) return `none${state}`;
  return `${shortId(lastSnapshot.id)}, ${spanText(Date.now() - lastSnapshot.timeMs)} ago${lastSnapshot.partial ? ', partial' : ''}${lastSnapshot.unreadable === undefined ? '' : ', cannot be read'}${state}`;
}
