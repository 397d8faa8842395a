/**
 * `cluster forget SOURCE`: says which snapshots the rules keep, and why; without `--dry-run` it unlists the others.
 *
 * The service does this by itself after each snapshot, by the policy's `keep`. The command is for looking; for applying
 * other rules once; for unlisting snapshots that a clock which was ahead has dated into the future (`--future`); and,
 * with an admin's key, for what no rule may do: ending the hold of unlisted snapshots (`--now`), and letting go of a
 * source that has left the policy (`--archived`).
 */
import { Command, Option } from 'commander';
import { KEEP_KINDS, type KeepCounts, type KeepKind } from '../catalog/retention.js';
import type { ForgetReport, JudgedSnapshot } from '../daemon/service.js';
import { wholeNumberArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { snapshotRecord } from './records.js';
import type { Run } from './run.js';
import { countText, shortId, sizeText, spanText, tableText, timeText } from './text.js';

type ForgetOptions = Readonly<Partial<Record<`keep${Capitalize<KeepKind>}`, number>>> & {
  readonly now?: boolean;
  readonly future?: boolean;
  readonly archived?: boolean;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
};

export function forgetCommand(run: Run): Command {
  const command = new Command('forget')
    .description('which snapshots stay listed, and why; the others are unlisted')
    .argument('<source>', 'NAME, or HOST/NAME where two hosts have a source of that name')
    .option('--dry-run', 'only say what would be done');
  for (const kind of KEEP_KINDS) command.option(`--keep-${kind} <n>`, KEEP_TEXTS[kind], wholeNumberArgument);
  const keeps = KEEP_KINDS.map(kind => `keep${capitalized(kind)}`);
  return command
    .addOption(
      new Option('--future', 'unlist snapshots that the clock dated ahead; take one in their place').conflicts([
        'now',
        'archived',
        ...keeps,
      ]),
    )
    .option('--now', "stop holding what is unlisted: needs an admin's key")
    .addOption(
      new Option('--archived', "let go of a source that left the policy: needs an admin's key").conflicts([
        'now',
        ...keeps,
      ]),
    )
    .option('--yes', 'do it even if it lets go of something that the policy would have kept')
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
On the source's own host; --now and --archived on any host with an admin's key.
Rules given here replace the policy's: a kind that is not named is 0.
An unlisted snapshot stays with its holders for as many days as its hold says:
'snapshots --held' shows it, and it can be restored until then. --now ends that
for all unlisted snapshots of the source. What nothing needs any longer goes to
the trash once the policy's gcGrace has passed.`;

async function forget(context: Context, source: string, options: ForgetOptions): Promise<ExitCode> {
  const keep = countsIn(options);
  const dryRun = options.dryRun === true;
  const now = options.now === true;
  const request = { source, dryRun, yes: options.yes === true };
  const service = context.service();
  const report =
    options.archived === true
      ? await service.forgetArchived(request, context.signal)
      : options.future === true
        ? await service.forgetFuture(request, context.signal)
        : await service.forget({ ...request, now, ...(keep === undefined ? {} : { keep }) }, context.signal);
  const stays = report.snapshots.filter(({ reasons }) => reasons.length > 0);
  const leaves = report.snapshots.filter(({ reasons }) => reasons.length === 0);
  if (context.json) {
    for (const { snapshot, reasons } of report.snapshots)
      await context.record({ ...snapshotRecord(snapshot), message_type: 'forget', keep: reasons.length > 0, reasons });
    for (const snapshot of report.released)
      await context.record({ ...snapshotRecord(snapshot), message_type: 'forget', keep: false, reasons: [] });
  } else {
    await context.print(tableOf(context.isTerminal, keptText(report, stays.length), stays));
    const what = dryRun ? 'would be unlisted' : 'unlisted';
    if (leaves.length > 0)
      await context.print(tableOf(context.isTerminal, `${countText(leaves.length, 'snapshot')} ${what}`, leaves));
    else if (report.released.length === 0)
      await context.print(report.unjudged === undefined ? 'none to unlist' : 'none is held that is unlisted');
    if (report.released.length > 0) {
      const held = report.released.map(snapshot => ({ snapshot, reasons: [] }));
      const released = `${countText(held.length, 'unlisted snapshot')} ${dryRun ? 'would be held' : 'held'} no longer`;
      await context.print(tableOf(context.isTerminal, released, held));
    }
    if (leaves.length + report.released.length > 0 && (now || options.archived === true))
      await context.print(
        `what nothing else needs is removed after ${spanText(report.graceMs)} of each holder's running time`,
      );
  }
  if (report.heldStill !== undefined) {
    const many = countText(report.heldStill, 'unlisted snapshot');
    context.note(
      `${many} more ${dryRun ? 'would be' : 'are'} held still: so many are let go at once and no more; then run the same again`,
    );
  }
  if (report.stopped !== undefined) context.note(`nothing is unlisted at present: ${report.stopped}`);
  return EXIT.ok;
}

function keptText({ source, unjudged }: ForgetReport, kept: number): string {
  if (unjudged === undefined) return `${countText(kept, 'snapshot')} of ${source} kept`;
  return `${countText(unjudged, 'snapshot')} of ${source} listed, which ${unjudged === 1 ? 'stays' : 'stay'} so: no rules are applied here`;
}

const capitalized = (kind: KeepKind): Capitalize<KeepKind> =>
  `${kind.charAt(0).toUpperCase()}${kind.slice(1)}` as Capitalize<KeepKind>;

/** Kinds that are not named are 0, as with restic. @returns undefined when none is: then the policy's rules apply. */
function countsIn(options: ForgetOptions): KeepCounts | undefined {
  const { keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly } = options;
  const given = [keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly];
  if (given.every(count => count === undefined)) return undefined;
  const [last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0] = given;
  return { last, hourly, daily, weekly, monthly, yearly };
}

function tableOf(isTerminal: boolean, head: string, snapshots: readonly JudgedSnapshot[]): string {
  if (snapshots.length === 0) return head;
  const table = tableText(
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
