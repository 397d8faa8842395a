/** `cluster tree SOURCE[@SNAPSHOT]`: a snapshot as plain files in this host's stores, linked rather than copied. */
import { Command } from 'commander';
import type { DatedTreeReport, RemovedTreeReport } from '../daemon/service.js';
import type { Context, JsonRecord } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';
import { countText, shortId, timeRecord, timeText } from './text.js';

export const treeCommand = (run: Run): Command =>
  new Command('tree')
    .description("show a snapshot as a tree of plain files in this host's stores, as far as they hold it")
    .argument('<source>', 'NAME[@SNAPSHOT]; without @SNAPSHOT the newest, or with --remove all')
    .option('--store <path...>', 'only in these stores; default: in all stores of this host that can have one')
    .option('--remove', 'remove such trees; what is held stays')
    .addHelpText('after', AFTER_HELP)
    .action(run(tree));

const AFTER_HELP = `
The tree is STORE/ORIGIN/SOURCE@TIME, beside the tree of the newest snapshot. It
takes no room: its files are hard links to what the store holds anyway. So look
at them and copy them, but change none. It is removed with its snapshot, or by
--remove.`;

interface TreeOptions {
  readonly store?: readonly string[];
  readonly remove?: boolean;
}

async function tree(context: Context, spec: string, { store: stores = [], remove }: TreeOptions): Promise<ExitCode> {
  const service = context.service();
  const request = { spec, stores };
  if (remove)
    for (const report of await service.removeTrees(request, context.signal)) await tellRemoved(context, report);
  else for (const report of await service.makeTrees(request, context.signal)) await tellMade(context, report);
  return EXIT.ok;
}

async function tellMade(context: Context, report: DatedTreeReport): Promise<void> {
  const { path, source, snapshot, timeMs, files, placed, unplaced } = report;
  const elsewhere = Math.max(0, files - placed - unplaced);
  if (context.json) {
    await context.record({ ...recordOf(report), removed: false, files, placed, unplaced, not_held: elsewhere });
    return;
  }
  context.note(
    `snapshot ${shortId(snapshot)} of ${source}, ${timeText(timeMs)}: ${placed} of ${countText(files, 'file')}`,
  );
  if (elsewhere > 0) context.note(`${countText(elsewhere, 'file')} not held by this store`);
  if (unplaced > 0)
    context.note(`${countText(unplaced, 'file')} held, but without a place in the tree; see ${path}.unplaced`);
  tellLeft(context, report);
  await context.printAsIs(path);
}

async function tellRemoved(context: Context, report: RemovedTreeReport): Promise<void> {
  if (context.json) return context.record({ ...recordOf(report), removed: true });
  tellLeft(context, report);
  await context.printAsIs(`removed: ${report.path}`);
}

function tellLeft(context: Context, { left, path }: RemovedTreeReport): void {
  if (left > 0) context.note(`${countText(left, 'thing')} in ${path} not made by this program, and left in place`);
}

const recordOf = ({ path, source, snapshot, timeMs, left }: RemovedTreeReport): JsonRecord => ({
  message_type: 'tree',
  path,
  source,
  snapshot,
  time: timeRecord(timeMs),
  left,
});
