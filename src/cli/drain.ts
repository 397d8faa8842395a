/**
 * `cluster drain`: how a host, or one of its stores, leaves without a loss: its copies are made again elsewhere while it still serves them,
 * and then go.
 */
import { Command, Option } from 'commander';
import { ClusterError } from '../core/fault.js';
import type { DrainRequest, HostReport } from '../daemon/service.js';
import { absolutePathArgument, durationArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { leftText } from './hosts.js';
import { tellNew } from './new-configuration.js';
import { hostRecord } from './records.js';
import type { Run } from './run.js';
import { spanText } from './text.js';
import { limitsOnlyWaiting, timeLimit } from './time-limit.js';

export const drainCommand = (run: Run): Command =>
  new Command('drain')
    .description('move the copies of a host, or of one of its stores, to others, so that it can leave')
    .argument('<host[:path]>', 'its name, and the path of the store as the policy has it', drainedArgument)
    .addOption(new Option('--undo', 'let it hold copies again').conflicts('wait'))
    .option('--wait', 'until nothing that is wanted is left on the host')
    .option('--timeout <duration>', 'with --wait: give up after this long, with exit code 20', durationArgument)
    .action(run(drain));

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
  limitsOnlyWaiting({ wait, timeout });
  // How much is left in one store its own host alone knows.
  if (wait && path !== undefined)
    throw new ClusterError('BAD_ARGUMENT', `--wait is for a whole host; 'cluster hosts' on ${host} tells of a store`, {
      blame: 'operator',
    });
  const report = await context.service().drain({ ...drained, undo: undo === true }, context.signal);
  const who = path === undefined ? host : `${host}:${path}`;
  const where = path === undefined ? "'cluster hosts'" : `'cluster hosts' on ${host}`;
  const what = undo === true ? 'holds copies again' : `is draining; ${where} shows what is still there`;
  await tellNew(context, report, `${who} ${what}`);
  if (wait) await waitForEmpty(context, host, timeout);
  return EXIT.ok;
}

async function waitForEmpty(context: Context, name: string, timeout: number | undefined): Promise<void> {
  using limit = timeLimit(context.signal, timeout);
  let last: number | undefined;
  let told: string | undefined;
  try {
    for await (const { hosts } of context.service().statusChanges(limit.signal)) {
      const host = hosts.find(one => one.name === name);
      if (host?.state !== 'draining') {
        throw new ClusterError('NOT_DRAINING', `${name} is draining no more`, { blame: 'passing' });
      }
      const { parcelsLeft } = host;
      const now = progressText(host);
      if (now !== undefined && now !== told && !context.json) context.note(`${name}: ${now}`);
      told = now ?? told;
      last = parcelsLeft;
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

/** What keeps a host from being empty; undefined when nothing is known to. */
function progressText({ parcelsLeft, stores }: HostReport): string | undefined {
  if (parcelsLeft !== undefined) return parcelsLeft === 0 ? undefined : leftText(parcelsLeft);
  const unread = stores.some(store => store.unread === true);
  return unread ? 'a store is being read again; what is in it is not known before' : undefined;
}
