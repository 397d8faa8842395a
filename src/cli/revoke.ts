/** `cluster revoke`: shuts a host out, at once; what only it had is gone with it. `cluster drain` has its copies made again first. */
import { Command } from 'commander';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { tellNew } from './new-configuration.js';
import type { Run } from './run.js';

export const revokeCommand = (run: Run): Command =>
  new Command('revoke')
    .description('shut a host out, at once and for good, and close the token that it joined by')
    .argument('<host>', 'its name')
    .option('--yes', 'also when its copies are still needed, or it may have newer snapshots than are known here')
    .action(run(revoke));

async function revoke(context: Context, host: string, { yes }: { readonly yes?: boolean }): Promise<ExitCode> {
  const report = await context.service().revoke({ host, yes: yes === true }, context.signal);
  await tellNew(
    context,
    report,
    `${host} is revoked: no byte is served to it or taken from it any more, and nobody joins by its token`,
  );
  return EXIT.ok;
}
