/** `cluster snapshots [SOURCE] [--held]`: the restore points, oldest first. */
import { Command } from 'commander';
import type { SnapshotReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { FROM_STORE } from './from-store-option.js';
import { snapshotRecord } from './records.js';
import type { Run } from './run.js';
import { type SnapshotRow, snapshotTable } from './snapshot-table.js';
import { partialText, shortId } from './text.js';

export const snapshotsCommand = (run: Run): Command =>
  new Command('snapshots')
    .description('restore points of a source, or of all, oldest first; exit code 3 when one of them cannot be read')
    .argument('[source]', 'NAME, or HOST/NAME where two hosts have a source of that name')
    .option('--held', 'also those that their origin no longer lists but that are in their hold here')
    .option(...FROM_STORE)
    .action(run(showSnapshots));

async function showSnapshots(
  context: Context,
  source: string | undefined,
  { held = false, fromStore }: { readonly held?: boolean; readonly fromStore?: readonly string[] },
): Promise<ExitCode> {
  if (fromStore !== undefined) {
    const { listSnapshots } = await import('./list-from-store.js');
    return listSnapshots(context, { words: fromStore, spec: source });
  }
  const request = { ...(source === undefined ? {} : { source }), ...(held ? { held } : {}) };
  const snapshots = await context.service().snapshots(request, context.signal);
  if (context.json) for (const snapshot of snapshots) await context.record(snapshotRecord(snapshot));
  else await context.print(snapshotTable(context.isTerminal, snapshots.map(rowOf)));
  let code: ExitCode = EXIT.ok;
  for (const { source: name, id, unreadable } of snapshots) {
    if (unreadable === undefined) continue;
    code = EXIT.incomplete;
    if (!context.json) context.note(`${name}@${shortId(id)} cannot be read: ${unreadable}`);
  }
  return code;
}

function rowOf(report: SnapshotReport): SnapshotRow {
  const row = { ...report, state: stateText(report) };
  return report.unreadable === undefined ? row : { ...row, files: undefined, bytes: undefined };
}

function stateText(report: SnapshotReport): string {
  const { partial, protected: isProtected, held, unreadable } = report;
  const copies = unreadable !== undefined ? 'cannot be read' : isProtected ? 'protected' : 'not yet protected';
  return [...(held ? ['held'] : []), ...(partial ? [partialText(report)] : []), copies].join(', ');
}
