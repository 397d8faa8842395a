/** `cluster config …`: the fleet's policy, shown and changed. Changes need this host's admin key. */
import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { ClusterError, messageOf } from '../core/fault.js';
import type { ConfigReport, ConfigStepReport } from '../daemon/service.js';
import { absolutePathArgument, countArgument } from './arguments.js';
import { editConfig } from './config-edit.js';
import { planConfig } from './config-plan.js';
import type { Context, JsonRecord } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';
import { readStandardInput } from './standard-input.js';
import { tableText, timeRecord, timeText } from './text.js';

/** So many versions fit on a screen. */
const HISTORY_DEFAULT = 20;

/** What `apply` and `rollback` ask about is the same. */
const YES_HELP = 'also when it archives sources, lowers copies, or leaves out hosts or stores';

export const configCommand = (run: Run): Command => {
  const config = new Command('config').description('the policy of the whole cluster: sources, stores, copies, timing');
  config
    .command('show')
    .description('the policy in use, as YAML, or that of an earlier version')
    .argument('[version]', 'its number', countArgument)
    .action(run(show));
  config
    .command('history')
    .description('the versions of the configuration, the newest first: when, by whom, and what each changed')
    .option('--last <n>', 'so many of them', countArgument, HISTORY_DEFAULT)
    .action(run(history));
  config
    .command('rollback')
    .description('put the policy of an earlier version in force again; members stay as they are')
    .argument('<version>', 'its number', countArgument)
    .option('--yes', YES_HELP)
    .action(run(rollback));
  config
    .command('apply')
    .description('put a policy in force, on every host')
    .argument('<file>', 'YAML; "-" for stdin')
    .option('--yes', YES_HELP)
    .action(run(apply));
  config
    .command('edit')
    .description('change the policy in an editor ($VISUAL, $EDITOR, else vi), and put it in force')
    .option('--yes', YES_HELP)
    .action(run(edit));
  config
    .command('plan')
    .description('what applying a policy would change and move; changes nothing, and needs no key')
    .argument('<file>', 'YAML; "-" for stdin')
    .action(run(plan));
  config
    .command('add-store')
    .description('let a host lend a folder; the folder must exist there')
    .argument('<host>', 'its name')
    .argument('<path>', 'absolute, on that host', absolutePathArgument)
    .addOption(new Option('--limit <size>', 'use at most this much, such as "300 GB"').conflicts('reserve'))
    .option('--reserve <size>', 'leave at least this much free; default: a tenth of the disk')
    .action(run(addStore));
  config
    .command('add-source')
    .description('back up a folder of a host')
    .argument('<host>', 'its name')
    .argument('<name>', 'a name for it')
    .argument('<path>', 'absolute, on that host', absolutePathArgument)
    .option('--copies <n>', 'wanted copies', countArgument)
    .option('--every <duration>', 'time between snapshots, such as 1h')
    .option('--watch', 'also take a snapshot soon after something has changed')
    .action(run(addSource));
  return config;
};

async function show(context: Context, version: number | undefined): Promise<ExitCode> {
  const service = context.service();
  const report = await (version === undefined
    ? service.configShow(context.signal)
    : service.configAt({ version }, context.signal));
  if (context.json) await tell(context, report);
  else await context.printAsIs(report.text.replace(/\n$/, ''));
  return EXIT.ok;
}

async function history(context: Context, { last }: { readonly last: number }): Promise<ExitCode> {
  const steps: ConfigStepReport[] = [];
  for await (const step of context.service().configHistory(context.signal)) {
    steps.push(step);
    if (steps.length === last) break;
  }
  if (context.json) for (const step of steps) await context.record(stepRecord(step));
  else
    await context.print(
      tableText(
        context.isTerminal,
        [{ head: 'version', align: 'right' }, { head: 'time' }, { head: 'by' }, { head: 'changed' }],
        steps.map(({ version, signedMs, signer, changes }) => [
          String(version),
          timeText(signedMs),
          signer ?? 'unknown',
          changes.join('; '),
        ]),
      ),
    );
  return EXIT.ok;
}

const stepRecord = ({ version, hash, signedMs, signer, changes }: ConfigStepReport): JsonRecord => ({
  message_type: 'config_version',
  version,
  hash,
  time: timeRecord(signedMs),
  signer: signer ?? null,
  changes,
});

async function rollback(context: Context, version: number, { yes }: { readonly yes?: boolean }): Promise<ExitCode> {
  await tell(context, await context.service().configRollback({ version, yes: yes === true }, context.signal));
  return EXIT.ok;
}

async function apply(context: Context, file: string, { yes }: { readonly yes?: boolean }): Promise<ExitCode> {
  const service = context.service();
  const policy = await readPolicy(context, file);
  await tell(context, await service.configApply({ ...policy, yes: yes === true }, context.signal));
  return EXIT.ok;
}

async function edit(context: Context, { yes }: { readonly yes?: boolean }): Promise<ExitCode> {
  const report = await editConfig(context, { yes: yes === true });
  if (report !== undefined) await tell(context, report);
  else if (context.json) await tell(context, await context.service().configShow(context.signal));
  else await context.print('the policy was left as it was');
  return EXIT.ok;
}

async function plan(context: Context, file: string): Promise<ExitCode> {
  return planConfig(context, await readPolicy(context, file));
}

async function readPolicy(
  { signal }: Context,
  file: string,
): Promise<{ readonly text: string; readonly fileName: string }> {
  if (file === '-') {
    return { text: await readStandardInput(signal), fileName: 'stdin' };
  }
  try {
    return { text: await readFile(file, 'utf8'), fileName: file };
  } catch (cause) {
    const why = messageOf(cause);
    throw new ClusterError('FILE_UNREADABLE', `cannot read the policy: ${why}. Nothing was changed.`, {
      blame: 'operator',
      cause,
    });
  }
}

interface StoreOptions {
  readonly limit?: string;
  readonly reserve?: string;
}

async function addStore(context: Context, host: string, path: string, options: StoreOptions): Promise<ExitCode> {
  const { limit, reserve } = options;
  const request = { host, path, ...(limit !== undefined && { limit }), ...(reserve !== undefined && { reserve }) };
  await tell(context, await context.service().configAddStore(request, context.signal));
  return EXIT.ok;
}

interface SourceOptions {
  readonly copies?: number;
  readonly every?: string;
  readonly watch?: boolean;
}

async function addSource(
  context: Context,
  host: string,
  name: string,
  path: string,
  options: SourceOptions,
): Promise<ExitCode> {
  const request = { host, name, path, ...options };
  await tell(context, await context.service().configAddSource(request, context.signal));
  return EXIT.ok;
}

async function tell(context: Context, { version, hash, text, warnings = [] }: ConfigReport): Promise<void> {
  for (const warning of warnings) context.note(warning);
  if (context.json) await context.record({ message_type: 'config', version, hash, text, warnings });
  else await context.print(`configuration ${version} is in force`);
}
