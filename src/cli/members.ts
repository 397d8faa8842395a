/**
 * `cluster drain` and `cluster revoke`: how a host leaves. Drained, its copies are made again elsewhere while it still
 * serves them, and then go; revoked, it is shut out at once, and what only it had is gone with it.
 */
import { Command } from 'commander';
import type { ConfigReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';

export const drainCommand = (run: Run): Command =>
  new Command('drain')
    .description("move a host's copies to others, so that it can leave")
    .argument('<host>', 'its name')
    .option('--undo', 'let it hold copies again')
    .action(run(drain));

export const revokeCommand = (run: Run): Command =>
  new Command('revoke')
    .description('shut a host out, at once and for good')
    .argument('<host>', 'its name')
    .option('--yes', 'also when its copies are still needed')
    .action(run(revoke));

async function drain(context: Context, host: string, { undo }: { readonly undo?: boolean }): Promise<ExitCode> {
  const report = await context.service().drain({ host, undo: undo === true }, context.signal);
  const what = undo === true ? 'holds copies again' : "is draining; 'cluster hosts' shows what is still there";
  await tell(context, report, `${host} ${what}`);
  return EXIT.ok;
}

async function revoke(context: Context, host: string, { yes }: { readonly yes?: boolean }): Promise<ExitCode> {
  const report = await context.service().revoke({ host, yes: yes === true }, context.signal);
  await tell(context, report, `${host} is revoked: no byte is served to it or taken from it any more`);
  return EXIT.ok;
}

async function tell(context: Context, { version, hash }: ConfigReport, text: string): Promise<void> {
  if (context.json) await context.record({ message_type: 'config', version, hash });
  else await context.print(`${text} (configuration ${version})`);
}
