/** `cluster ls-replicas` (alias `whereis`): which hosts hold a file, and whether that is enough. */
import { Command } from 'commander';
import { escapePath } from '../catalog/path-text.js';
import type { Holder, ReplicaReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { SPEC_HELP } from './ls.js';
import { replicaRecord } from './records.js';
import type { Run } from './run.js';
import { coloured } from './text.js';
import { tellLacking } from './unreachable.js';

interface ReplicaOptions {
  readonly under?: boolean;
  readonly over?: boolean;
  readonly missing?: boolean;
  readonly host?: string;
}

export const lsReplicasCommand = (run: Run): Command =>
  new Command('ls-replicas')
    .alias('whereis')
    .description(
      'have/want, path and the hosts that hold it, in parentheses where its copy does not count now; exit code 3 when not all can be listed',
    )
    .argument('[source]', `${SPEC_HELP}; default: the newest snapshot of every source`)
    .option('--under', 'only files with too few copies')
    .option('--over', 'only files with too many')
    .option('--missing', 'only files without any copy')
    .option('--host <name>', 'only files that this host holds')
    .action(run(listReplicas));

async function listReplicas(context: Context, spec: string | undefined, options: ReplicaOptions): Promise<ExitCode> {
  const only = (['under', 'over', 'missing'] as const).filter(which => options[which]);
  const { host } = options;
  const request = { only, ...(spec !== undefined && { spec }), ...(host !== undefined && { host }) };
  let code: ExitCode = EXIT.ok;
  for await (const report of context.service().replicas(request, context.signal)) {
    if ('lacking' in report) {
      code = EXIT.incomplete;
      tellLacking(context, report);
    } else if (context.json) await context.record(replicaRecord(report));
    else await context.print(context.isTerminal ? terminalLine(report) : plainLine(report));
  }
  return code;
}

/** Streamed, so there is no table: the columns of fixed width come first. */
function terminalLine({ have, want, holders, source, path }: ReplicaReport): string {
  const count = `${have}/${want}`.padEnd(6);
  const hosts = holders.map(one => (one.counts ? one.host : coloured('dim', holderText(one)))).join(', ');
  return `${have < want ? coloured('red', count) : count} ${source}:${escapePath(path)}  ${hosts || coloured('red', 'none')}`;
}

/** Separated by tabs: have, want, source, path, hosts. */
function plainLine({ have, want, holders, source, path }: ReplicaReport): string {
  return [have, want, source, escapePath(path), holders.map(holderText).join(',')].join('\t');
}

const holderText = ({ host, counts }: Holder): string => (counts ? host : `(${host})`);
