/** `cluster snapshots [SOURCE] [--held]`: the restore points, oldest first. */
import { Command } from 'commander';
import type { SnapshotReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { FROM_STORE } from './from-store-option.js';
import { snapshotRecord } from './records.js';
import type { Run } from './run.js';
import { snapshotTable } from './snapshot-table.js';

export const snapshotsCommand = (run: Run): Command =>
  new Command('snapshots')
    .description('restore points of a source, or of all, oldest first')
    .argument('[source]', 'NAME, or HOST/NAME where two hosts have one of that name')
    .option('--held', 'also those that their origin lists no more, as far as they are in their hold here')
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
  if (context.json) {
    for (const snapshot of snapshots) await context.record(snapshotRecord(snapshot));
    return EXIT.ok;
  }
  const rows = snapshots.map(snapshot => ({ ...snapshot, state: stateText(snapshot) }));
  await context.print(await snapshotTable(context.isTerminal, rows));
  return EXIT.ok;
}

function stateText({ partial, protected: isProtected, held }: SnapshotReport): string {
  const copies = isProtected ? 'protected' : 'not yet protected';
  return [...(held ? ['held'] : []), ...(partial ? ['partial'] : []), copies].join(', ');
}
