/**
 * `cluster drain` and `cluster revoke`: how a host, or one of its stores, leaves. Drained, its copies are made again elsewhere while it still
 * serves them, and then go; revoked, it is shut out at once, and what only it had is gone with it.
 */
import { Command } from 'commander';
import type { ConfigReport, DrainRequest } from '../daemon/service.js';
import { absolutePathArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';

export const drainCommand = (run: Run): Command =>
  new Command('drain')
    .description('move the copies of a host, or of one of its stores, to others, so that it can leave')
    .argument('<host[:path]>', 'its name, and the path of the store as the policy has it', drainedArgument)
    .option('--undo', 'let it hold copies again')
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

async function drain(context: Context, drained: Drained, { undo }: { readonly undo?: boolean }): Promise<ExitCode> {
  const { host, path } = drained;
  const report = await context.service().drain({ ...drained, undo: undo === true }, context.signal);
  const who = path === undefined ? host : `${host}:${path}`;
  const where = path === undefined ? "'cluster hosts'" : `'cluster hosts' on ${host}`;
  const what = undo === true ? 'holds copies again' : `is draining; ${where} shows what is still there`;
  await tell(context, report, `${who} ${what}`);
  return EXIT.ok;
}

async function revoke(context: Context, host: string, { yes }: { readonly yes?: boolean }): Promise<ExitCode> {
  const report = await context.service().revoke({ host, yes: yes === true }, context.signal);
  await tell(
    context,
    report,
    `${host} is revoked: no byte is served to it or taken from it any more, and nobody joins by its token`,
  );
  return EXIT.ok;
}

async function tell(context: Context, { version, hash }: ConfigReport, text: string): Promise<void> {
  if (context.json) await context.record({ message_type: 'config', version, hash });
  else await context.print(`${text} (configuration ${version})`);
}
