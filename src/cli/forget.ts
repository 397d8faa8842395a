/**
 * `cluster forget SOURCE`: which snapshots the rules keep, and why; and, without `--dry-run`, an end to listing the others.
 *
 * The service does this by itself after each snapshot, by the policy's `keep`. The command is for looking, and for other
 * rules once.
 */
import { Command } from 'commander';
import { KEEP_KINDS, type KeepCounts, type KeepKind } from '../catalog/retention.js';
import type { Forgotten } from '../daemon/service.js';
import { wholeNumberArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { snapshotRecord } from './records.js';
import type { Run } from './run.js';
import { countText, shortId, sizeText, tableText, timeText } from './text.js';

type ForgetOptions = Readonly<Partial<Record<`keep${Capitalize<KeepKind>}`, number>>> & {
  readonly dryRun?: boolean;
  readonly yes?: boolean;
};

export function forgetCommand(run: Run): Command {
  const command = new Command('forget')
    .description("which snapshots stay listed, and why; the others are unlisted. On the source's own host")
    .argument('<source>', 'NAME, or HOST/NAME where two hosts have one of that name')
    .option('--dry-run', 'only say what would be done');
  for (const kind of KEEP_KINDS) command.option(`--keep-${kind} <n>`, KEEP_TEXTS[kind], wholeNumberArgument);
  return command
    .option('--yes', 'unlist what the rules given here do not keep')
    .addHelpText('after', AFTER_HELP)
    .action(run(forget));
}

const KEEP_TEXTS: Readonly<Record<KeepKind, string>> = {
  last: 'the newest n',
  hourly: 'one of each of the newest n hours that have one',
  daily: '… days',
  weekly: '… weeks',
  monthly: '… months',
  yearly: '… years',
};

const AFTER_HELP = `
Rules given here stand in place of the policy's: a kind that is not named is 0.
What is unlisted cannot be restored any more. Its copies stay with their holders
for the days that the snapshot's hold says, and then give way.`;

async function forget(context: Context, source: string, options: ForgetOptions): Promise<ExitCode> {
  const keep = countsIn(options);
  const dryRun = options.dryRun === true;
  const report = await context
    .service()
    .forget({ source, dryRun, yes: options.yes === true, ...(keep === undefined ? {} : { keep }) }, context.signal);
  const stays = report.snapshots.filter(({ reasons }) => reasons.length > 0);
  const leaves = report.snapshots.filter(({ reasons }) => reasons.length === 0);
  if (context.json) {
    for (const { snapshot, reasons } of report.snapshots)
      await context.record({ ...snapshotRecord(snapshot), message_type: 'forget', keep: reasons.length > 0, reasons });
  } else {
    await context.print(
      await tableOf(context.isTerminal, `${countText(stays.length, 'snapshot')} of ${report.source} kept`, stays),
    );
    const what = dryRun ? 'would be unlisted' : 'unlisted';
    if (leaves.length > 0)
      await context.print(await tableOf(context.isTerminal, `${countText(leaves.length, 'snapshot')} ${what}`, leaves));
    else await context.print('none to unlist');
  }
  if (report.stopped !== undefined) context.note(`nothing is unlisted at present: ${report.stopped}`);
  return EXIT.ok;
}

/** The kinds that are not named are 0, as with restic. @returns undefined when none is: then the policy's rules hold. */
function countsIn(options: ForgetOptions): KeepCounts | undefined {
  const { keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly } = options;
  const given = [keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly];
  if (given.every(count => count === undefined)) return undefined;
  const [last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0] = given;
  return { last, hourly, daily, weekly, monthly, yearly };
}

async function tableOf(isTerminal: boolean, head: string, snapshots: readonly Forgotten[]): Promise<string> {
  if (snapshots.length === 0) return head;
  const table = await tableText(
    isTerminal,
    [{ head: 'id' }, { head: 'time' }, { head: 'size', align: 'right' }, { head: 'state' }, { head: 'kept as' }],
    snapshots.map(({ snapshot, reasons }) => [
      shortId(snapshot.id),
      timeText(snapshot.timeMs),
      sizeText(snapshot.bytes),
      snapshot.partial ? 'partial' : snapshot.protected ? 'protected' : 'not yet protected',
      reasons.join(', '),
    ]),
  );
  return `${head}\n${table}`;
}
