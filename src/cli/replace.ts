/**
 * `cluster replace`: a reinstalled machine goes on as the host that another one was, which is shut out. The machine has
 * joined before, under a name of its own.
 */
import { Command } from 'commander';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { tellNew } from './new-configuration.js';
import type { Run } from './run.js';

export const replaceCommand = (run: Run): Command =>
  new Command('replace')
    .description(
      'let a machine that has joined go on as a host whose own machine is gone, with its sources and history',
    )
    .argument('<host>', 'the host that goes on')
    .argument('<machine>', 'the name under which the new machine has joined')
    .option(
      '--yes',
      'also while the old machine is heard, has what nobody else has, or may have newer snapshots than are known here',
    )
    .action(run(replace));

async function replace(
  context: Context,
  host: string,
  by: string,
  { yes }: { readonly yes?: boolean },
): Promise<ExitCode> {
  const report = await context.service().replace({ host, by, yes: yes === true }, context.signal);
  await tellNew(
    context,
    report,
    `the machine that joined as ${by} is ${host} from now on: it starts again as that by itself. The key of the old machine is shut out, and nobody joins by its token`,
  );
  return EXIT.ok;
}
