/**
 * `cluster drain` and `cluster revoke`: how a host, or one of its stores, leaves. Drained, its copies are made again elsewhere while it still
 * serves them, and then go; revoked, it is shut out at once, and what only it had is gone with it.
 */
import { Command, Option } from 'commander';
import { ClusterError } from '../core/fault.js';
import type { ConfigReport, DrainRequest } from '../daemon/service.js';
import { absolutePathArgument, durationArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { leftText } from './hosts.js';
import { hostRecord } from './records.js';
import type { Run } from './run.js';
import { spanText } from './text.js';
import { timeLimit } from './time-limit.js';

export const drainCommand = (run: Run): Command =>
  new Command('drain')
    .description('move the copies of a host, or of one of its stores, to others, so that it can leave')
    .argument('<host[:path]>', 'its name, and the path of the store as the policy has it', drainedArgument)
    .addOption(new Option('--undo', 'let it hold copies again').conflicts('wait'))
    .option('--wait', 'until nothing that is wanted is left on the host')
    .option('--timeout <duration>', 'with --wait: give up after this long, with exit code 20', durationArgument)
    .action(run(drain));

export const revokeCommand = (run: Run): Command =>
  new Command('revoke')
    .description('shut a host out, at once and for good, and close the token that it joined by')
    .argument('<host>', 'its name')
    .option('--yes', 'also when its copies are still needed')
    .action(run(revoke));

type Drained = Pick<DrainRequest, 'host' | 'path'>;

/** A host's name has no colon. */
function drainedArgument(text: string): Drained {
  const [, host = text, path] = /^([^:]*):(.*)$/s.exec(text) ?? [];
  return path === undefined ? { host } : { host, path: absolutePathArgument(path) };
}

interface DrainOptions {
  readonly undo?: boolean;
  readonly wait?: boolean;
  readonly timeout?: number;
}

async function drain(context: Context, drained: Drained, { undo, wait, timeout }: DrainOptions): Promise<ExitCode> {
  const { host, path } = drained;
  if (timeout !== undefined && !wait) throw badArgument('--timeout says how long to --wait: give --wait too');
  // How much is left in one store its own host alone knows.
  if (wait && path !== undefined)
    throw badArgument(`--wait is for a whole host; 'cluster hosts' on ${host} tells of a store`);
  const report = await context.service().drain({ ...drained, undo: undo === true }, context.signal);
  const who = path === undefined ? host : `${host}:${path}`;
  const where = path === undefined ? "'cluster hosts'" : `'cluster hosts' on ${host}`;
  const what = undo === true ? 'holds copies again' : `is draining; ${where} shows what is still there`;
  await tell(context, report, `${who} ${what}`);
  if (wait) await waitForEmpty(context, host, timeout);
  return EXIT.ok;
}

async function waitForEmpty(context: Context, name: string, timeout: number | undefined): Promise<void> {
  using limit = timeLimit(context.signal, timeout);
  let last: number | undefined;
  try {
    for await (const { hosts } of context.service().statusChanges(limit.signal)) {
      const host = hosts.find(one => one.name === name);
      if (host?.state !== 'draining') {
        throw new ClusterError('NOT_DRAINING', `${name} is draining no more`, { blame: 'passing' });
      }
      const { parcelsLeft } = host;
      if (parcelsLeft !== undefined && parcelsLeft !== last && parcelsLeft > 0 && !context.json)
        context.note(`${name}: ${leftText(parcelsLeft)}`);
      last = parcelsLeft ?? last;
      if (parcelsLeft !== 0) continue;
      if (context.json) await context.record(hostRecord(host));
      else await context.print(`${name} is empty`);
      return;
    }
  } catch (error) {
    if (!limit.isUp()) throw error;
  }
  const left = last === undefined ? 'not known to be empty' : `not empty (${leftText(last)})`;
  throw new ClusterError(
    'WAIT_TIMEOUT',
    `${name} is ${left} after ${spanText(timeout ?? 0)}; it goes on draining, and the hosts go on copying`,
    { blame: 'passing' },
  );
}

const badArgument = (text: string): ClusterError => new ClusterError('BAD_ARGUMENT', text, { blame: 'operator' });

async function revoke(context: Context, host: string, { yes }: { readonly yes?: boolean }): Promise<ExitCode> {
  const report = await context.service().revoke({ host, yes: yes === true }, context.signal);
  await tell(
    context,
    report,
    `${host} is revoked: no byte is served to it or taken from it any more, and nobody joins by its token`,
  );
  return EXIT.ok;
}

async function tell(context: Context, { version, hash, warnings = [] }: ConfigReport, text: string): Promise<void> {
  for (const warning of warnings) context.note(warning);
  if (context.json) await context.record({ message_type: 'config', version, hash, warnings });
  else await context.print(`${text} (configuration ${version})`);
}
