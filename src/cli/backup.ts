/** `cluster backup SOURCE`: takes a snapshot now, on the source's origin, on whichever host the command is typed. */
import { Command } from 'commander';
import { missingPartText, unreadText } from '../catalog/missing-text.js';
import { escapePath } from '../catalog/path-text.js';
import { ClusterError } from '../core/fault.js';
import type { ProtectionReport, SnapshotReport, SnapshotTaken } from '../daemon/service.js';
import { durationArgument } from './arguments.js';
import type { Context, JsonRecord } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { snapshotRecord } from './records.js';
import type { Run } from './run.js';
import { countText, shortId, sizeText, spanText } from './text.js';
import { limitsOnlyWaiting, timeLimit } from './time-limit.js';

interface BackupOptions {
  readonly wait?: boolean;
  readonly timeout?: number;
  readonly acceptChanges?: boolean;
  readonly yes?: boolean;
}

export const backupCommand = (run: Run): Command =>
  new Command('backup')
    .description('take a snapshot now; exit code 3 when something could not be read')
    .argument('<source>', 'NAME, or HOST/NAME where two hosts have a source of that name')
    .option('--wait', 'wait until every parcel of the snapshot has its copies')
    .option('--timeout <duration>', 'with --wait: give up after this long, with exit code 20', durationArgument)
    .option('--accept-changes', 'the source was meant to change that much: take it as it is, if nothing is missing')
    .option('--yes', 'with --accept-changes: let go of what is missing, a disk or all of the source')
    .action(run(backup));

async function backup(
  context: Context,
  source: string,
  { wait, timeout, acceptChanges = false, yes = false }: BackupOptions,
): Promise<ExitCode> {
  limitsOnlyWaiting({ wait, timeout });
  if (yes && !acceptChanges)
    throw new ClusterError('BAD_ARGUMENT', '--yes goes with --accept-changes: it lets go of what is missing', {
      blame: 'operator',
    });
  const service = context.service();
  const taken = await service.backup({ source, acceptChanges, acceptMissing: yes }, context.signal);
  if (!context.json) tellLeftOut(context, taken);
  tellBrake(context, taken);
  if (!wait) {
    await tell(context, taken);
    return taken.partial ? EXIT.incomplete : EXIT.ok;
  }
  if (!context.json) await tell(context, taken);

  using limit = timeLimit(context.signal, timeout);
  let last: ProtectionReport | undefined;
  try {
    for await (const report of service.protection({ sourceId: taken.sourceId, snapshot: taken.id }, limit.signal)) {
      await tellProgress(context, report, last);
      last = report;
      if (report.snapshot.protected) break;
    }
  } catch (error) {
    if (!limit.isUp()) throw error;
  }
  const now: SnapshotReport = last?.snapshot ?? taken;
  if (context.json) await recordTaken(context, now, taken);
  if (!now.protected) {
    const under =
      last === undefined
        ? ''
        : `: ${countText(last.parcels.under, 'parcel')} of ${last.parcels.wanted} short of ${countText(last.copies, 'copy', 'copies')}`;
    throw new ClusterError(
      'WAIT_TIMEOUT',
      `snapshot ${shortId(now.id)} of ${now.source} is not protected after ${spanText(timeout ?? 0)}${under}. It is kept, and the hosts go on copying.`,
      { blame: 'passing' },
    );
  }
  if (!context.json) await context.print(`protected: ${shortId(now.id)} of ${now.source}`);
  return now.partial ? EXIT.incomplete : EXIT.ok;
}

function tellLeftOut(
  context: Context,
  { stale, missed, unread, unentered: { count, paths }, letGo }: SnapshotTaken,
): void {
  for (const part of letGo.parts) context.note(`let go of: ${missingPartText(part)}`);
  if (letGo.count > letGo.parts.length) context.note(`… and of ${letGo.count - letGo.parts.length} more`);
  for (const one of unread) context.note(unreadText(one));
  const more = stale + missed - unread.length;
  if (more > 0) context.note(`… and ${more} more not read`);
  if (stale > 0) context.note(`${stale} carried over from the snapshot before (stale)`);
  if (missed > 0) context.note(`${missed} not in the snapshot (missed)`);
  for (const path of paths) context.note(`not backed up, because it is on another file system: ${escapePath(path)}`);
  if (count > paths.length) context.note(`… and ${count - paths.length} more on other file systems`);
}

function tellBrake(context: Context, { braked, source, origin }: SnapshotTaken): void {
  if (!braked) return;
  context.note(
    `so much of ${source} disappeared or changed that its brake is on: no snapshot of it is unlisted, and the trees in the stores stay as they were, until 'cluster backup ${source} --accept-changes' confirms that the change is meant. 'cluster status' on ${origin} says how much`,
  );
}

/** The snapshot as it is now, also without files that were gone before they were copied, and what the run found. */
const takenRecord = (now: SnapshotReport, { unchanged, unentered, braked, letGo }: SnapshotTaken): JsonRecord => ({
  ...snapshotRecord(now),
  unchanged,
  unentered: unentered.count,
  braked,
  let_go: letGo.count,
});

/** The snapshot, then what of it was left out, as far as the service names it: the counts are in the snapshot's record. */
async function recordTaken(context: Context, now: SnapshotReport, taken: SnapshotTaken): Promise<void> {
  await context.record(takenRecord(now, taken));
  const { source, unread, unentered, letGo } = taken;
  const problem = (kind: 'unread' | 'unentered' | 'let-go', path: Uint8Array, because: string): Promise<void> =>
    context.record({ message_type: 'problem', kind, source, path: escapePath(path), because });
  for (const { path, because } of unread) await problem('unread', path, because);
  for (const path of unentered.paths) await problem('unentered', path, 'it is on another file system');
  for (const { path, because } of letGo.parts) await problem('let-go', path, because);
}

async function tell(context: Context, taken: SnapshotTaken): Promise<void> {
  if (context.json) return recordTaken(context, taken, taken);
  const what = `${countText(taken.files, 'file')}, ${sizeText(taken.bytes)}`;
  const how = `${taken.unchanged ? ', unchanged' : ''}${taken.partial ? ', partial' : ''}`;
  await context.print(`snapshot ${shortId(taken.id)} of ${taken.source}: ${what}${how}`);
}

async function tellProgress(
  context: Context,
  report: ProtectionReport,
  last: ProtectionReport | undefined,
): Promise<void> {
  const { snapshot, parcels, missingBytes, copies } = report;
  if (last !== undefined && snapshot.id !== last.snapshot.id) {
    context.note(`files changed while they were copied: ${shortId(snapshot.id)} takes the snapshot's place`);
  }
  if (context.json) {
    await context.record({
      message_type: 'progress',
      snapshot: snapshot.id,
      wanted: parcels.wanted,
      copies,
      have_min: parcels.haveMin,
      under: parcels.under,
      to_copy: parcels.toCopy,
      missing_bytes: missingBytes,
    });
    return;
  }
  const text = toCopyText(report);
  if (text !== undefined && (last === undefined || text !== toCopyText(last))) context.note(text);
}

function toCopyText({ parcels: { wanted, under, toCopy }, missingBytes }: ProtectionReport): string | undefined {
  if (under === 0) return undefined;
  return toCopy > 0
    ? `${countText(toCopy, 'parcel')} of ${wanted} to copy, ${sizeText(missingBytes)}`
    : 'nothing to copy; the hosts that have the copies have yet to take note of this snapshot';
}
