/** `cluster rebuild-index`: removes the index database, so that the service rebuilds it at its next start. */
import { Command } from 'commander';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';

export const rebuildIndexCommand = (run: Run): Command =>
  new Command('rebuild-index')
    .description(
      'remove the index database: the service rebuilds it when it is started, from stores, peers and sources',
    )
    .action(run(rebuildIndex));

async function rebuildIndex(context: Context): Promise<ExitCode> {
  const { removeIndex } = await import('../daemon/index-trial.js');
  removeIndex(context.ownStateFolder('rebuild-index'));
  const told =
    'the index is removed; no copy and no snapshot was in it. Start the service: it rebuilds the index from the records in its stores and from its peers, and reads its sources once more at their next snapshots';
  if (context.json) await context.record({ message_type: 'index', removed: true });
  else await context.print(told);
  return EXIT.ok;
}
