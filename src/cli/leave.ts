/**
 * `cluster leave`: this host leaves without a loss. It is emptied, its own snapshots are copied, and then an admin may
 * revoke it. No host can end its own membership: only an admin signs that. So this command does what this host can do,
 * waits for the rest, and says what is to be done where.
 */
import { Command, Option } from 'commander';
import { ClusterError } from '../core/fault.js';
import type { LeaveReport } from '../daemon/service.js';
import { durationArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { leftText } from './hosts.js';
import type { Run } from './run.js';
import { lineText, spanText, timeRecord, timeText } from './text.js';
import { timeLimit } from './time-limit.js';

interface LeaveOptions {
  readonly dryRun?: boolean;
  readonly timeout?: number;
}

export const leaveCommand = (run: Run): Command =>
  new Command('leave')
    .description('empty this host, wait until all that it has is elsewhere, and say how an admin lets it go')
    .addOption(new Option('--dry-run', 'only say what would be lost with it now').conflicts('timeout'))
    .option('--timeout <duration>', 'give up waiting after this long, with exit code 20', durationArgument)
    .action(run(leave));

async function leave(context: Context, { dryRun, timeout }: LeaveOptions): Promise<ExitCode> {
  const service = context.service();
  const now = await service.leaving(context.signal);
  if (now.state === 'revoked' || dryRun) return tell(context, now);
  mustBeAble(now);
  if (!now.isDrained) {
    const { warnings = [] } = await service.drain({ host: now.host, undo: false }, context.signal);
    for (const warning of warnings) context.note(warning);
  }
  return tell(context, await readyToLeave(context, timeout));
}

/** @throws ClusterError PAUSED, LEAVE_UNSEEN, NO_ADMIN_KEY */
function mustBeAble({ host, trust, isDrained, isAdmin, adminHosts, atStake, pausedUntilMs }: LeaveReport): void {
  const admins = adminHosts.join(', ');
  const refused = (code: string, why: string): ClusterError =>
    new ClusterError(code, [`${why}. Nothing was changed`, ...atStake.map(line => `  ${line}`)].join('\n'), {
      blame: 'operator',
    });
  if (pausedUntilMs !== undefined) {
    const until = timeText(pausedUntilMs);
    throw refused('PAUSED', `${host} is paused until ${until}, and drops nothing: 'cluster resume' first`);
  }
  if (trust === 'untrusted') {
    const how = `on ${admins}, 'cluster status' tells it, and 'cluster revoke ${host}' lets it go`;
    throw refused('LEAVE_UNSEEN', `${host} is untrusted, and does not see whether its sources are copied: ${how}`);
  }
  if (isDrained || isAdmin) return;
  const how = `only an admin can do that: 'cluster drain ${host}' on ${admins}, then this again`;
  throw refused('NO_ADMIN_KEY', `${host} has to be emptied first, and ${how}`);
}

async function readyToLeave(context: Context, timeout: number | undefined): Promise<LeaveReport> {
  const service = context.service();
  using limit = timeLimit(context.signal, timeout);
  let last: LeaveReport | undefined;
  let told = '';
  try {
    for await (const _ of service.statusChanges(limit.signal)) {
      last = await service.leaving(limit.signal);
      if (last.isReady || last.state === 'revoked') return last;
      if (!last.isDrained)
        throw new ClusterError('NOT_DRAINING', `${last.host} is draining no more`, { blame: 'passing' });
      const text = waitsFor(last);
      if (text !== told && !context.json) context.note(text);
      told = text;
    }
  } catch (error) {
    if (!limit.isUp()) throw error;
  }
  const stake = (last?.atStake ?? []).map(line => `\n  ${line}`).join('');
  throw new ClusterError(
    'WAIT_TIMEOUT',
    `${told === '' ? 'not ready to leave' : told}, after ${spanText(timeout ?? 0)}; it goes on draining, and the hosts go on copying${stake}`,
    { blame: 'passing' },
  );
}

function waitsFor({ host, parcelsLeft, uncopied, isAlone, atStake }: LeaveReport): string {
  const parts = [
    ...(parcelsLeft === 0 ? [] : [leftText(parcelsLeft)]),
    ...(uncopied.length === 0 ? [] : [`not all copied of ${uncopied.join(', ')}`]),
  ];
  const alone = isAlone
    ? ' (no other host is heard of: they are off, or have revoked this one, of which it hears nothing)'
    : '';
  return `${host}: ${parts.length === 0 ? atStake.join('; ') : parts.join('; ')}${alone}`;
}

async function tell(context: Context, report: LeaveReport): Promise<ExitCode> {
  const next = stepsOf(report);
  const { host, state, isReady, parcelsLeft, uncopied, atStake, asOf, adminHosts, pausedUntilMs } = report;
  if (context.json) {
    await context.record({
      message_type: 'leave',
      host,
      state,
      ready: isReady,
      parcels_left: parcelsLeft,
      uncopied,
      at_stake: atStake,
      as_of: asOf.map(({ source, timeMs, partial }) => ({ source, time: timeRecord(timeMs), partial })),
      admins: adminHosts,
      paused_until: timeRecord(pausedUntilMs),
      next,
    });
    return EXIT.ok;
  }
  if (state === 'revoked') await context.printText(`${host} has left: it is a member no more`);
  else if (isReady) await context.printText(`${host} may leave: all that it has backed up or holds is elsewhere`);
  else await context.printText(`${host} may not leave yet (${lineText(waitsFor(report))}):`);
  for (const line of isReady ? [] : atStake) await context.printText(`  ${lineText(line)}`);
  for (const snapshot of isReady ? asOf : []) await context.printText(`  ${asOfText(snapshot)}`);
  for (const line of next) await context.printText(line);
  return EXIT.ok;
}

function asOfText({ source, timeMs, partial }: LeaveReport['asOf'][number]): string {
  const lacks = partial ? 'could not read all, and ' : '';
  return `the last snapshot of ${source}, of ${timeText(timeMs)}, ${lacks}has nothing that was changed since`;
}

/** What a person is to do next. */
function stepsOf({ host, state, isReady, isAdmin, isDrained, adminHosts }: LeaveReport): readonly string[] {
  if (state === 'revoked') return ['stop its service; its state folder and its stores may go'];
  const others = adminHosts.filter(name => name !== host);
  const admins = others.length > 0 ? others.join(', ') : 'another member that has the admin key';
  const key = `put its admin key on another member first: 'cluster key export', and see 'The admin key' in deploy/OPERATIONS.md`;
  return [
    ...(isReady || isDrained ? [] : [`empty it first: 'cluster drain ${host}' on ${adminHosts.join(', ')}`]),
    ...(isAdmin && others.length === 0 ? [key] : []),
    `${isReady ? 'end' : 'then end'} its membership: 'cluster revoke ${host}' on ${admins}`,
    // Its connections are closed with the revocation, so it may never hear of it.
    `then stop the service of ${host}, which goes on by itself until then`,
  ];
}
