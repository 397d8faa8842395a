/** `cluster snapshots [SOURCE] [--held]`: the restore points, oldest first. */
import { Command } from 'commander';
import type { SnapshotReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { snapshotRecord } from './records.js';
import type { Run } from './run.js';
import { shortId, sizeText, tableText, timeText } from './text.js';

export const snapshotsCommand = (run: Run): Command =>
  new Command('snapshots')
    .description('restore points of a source, or of all, oldest first')
    .argument('[source]', 'NAME, or HOST/NAME where two hosts have one of that name')
    .option('--held', 'also those that their origin lists no more, as far as they are in their hold here')
    .action(run(showSnapshots));

async function showSnapshots(
  context: Context,
  source: string | undefined,
  { held = false }: { readonly held?: boolean },
): Promise<ExitCode> {
  const request = { ...(source === undefined ? {} : { source }), ...(held ? { held } : {}) };
  const snapshots = await context.service().snapshots(request, context.signal);
  if (context.json) {
    for (const snapshot of snapshots) await context.record(snapshotRecord(snapshot));
    return EXIT.ok;
  }
  await context.print(await snapshotsTable(context.isTerminal, snapshots));
  return EXIT.ok;
}

function snapshotsTable(isTerminal: boolean, snapshots: readonly SnapshotReport[]): Promise<string> {
  return tableText(
    isTerminal,
    [
      { head: 'id' },
      { head: 'time' },
      { head: 'source' },
      { head: 'origin' },
      { head: 'files', align: 'right' },
      { head: 'size', align: 'right' },
      { head: 'state' },
    ],
    snapshots.map(snapshot => [
      shortId(snapshot.id),
      timeText(snapshot.timeMs),
      snapshot.source,
      snapshot.origin,
      String(snapshot.files),
      sizeText(snapshot.bytes),
      stateText(snapshot),
    ]),
  );
}

function stateText({ partial, protected: isProtected, held }: SnapshotReport): string {
  const copies = isProtected ? 'protected' : 'not yet protected';
  return [...(held ? ['held'] : []), ...(partial ? ['partial'] : []), copies].join(', ');
}
