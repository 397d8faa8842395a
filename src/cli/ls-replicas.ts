/** `cluster ls-replicas` (alias `whereis`): which hosts hold a file, and whether that is enough. */
import { Command } from 'commander';
import { escapePath } from '../catalog/path-text.js';
import type { ReplicaReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { SPEC_HELP } from './ls.js';
import { oldestVerified, replicaRecord } from './records.js';
import type { Run } from './run.js';
import { coloured, spanText } from './text.js';

interface ReplicaOptions {
  readonly under?: boolean;
  readonly over?: boolean;
  readonly missing?: boolean;
  readonly host?: string;
}

export const lsReplicasCommand = (run: Run): Command =>
  new Command('ls-replicas')
    .alias('whereis')
    .description('have/want, path, the hosts that hold it, and how long ago the oldest copy was read back')
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
  const nowMs = Date.now();
  for await (const report of context.service().replicas(request, context.signal)) {
    if (context.json) await context.record(replicaRecord(report));
    else await context.print(context.isTerminal ? terminalLine(report, nowMs) : plainLine(report));
  }
  return EXIT.ok;
}

/** Streamed, so there is no table: the columns of fixed width come first. */
function terminalLine(report: ReplicaReport, nowMs: number): string {
  const { have, want, holders, source, path } = report;
  const count = `${have}/${want}`.padEnd(6);
  const hosts =
    holders.map(({ host, counts }) => (counts ? host : coloured('dim', `(${host})`))).join(', ') ||
    coloured('red', 'none');
  const verifiedMs = oldestVerified(report);
  const verified = verifiedMs === undefined ? '' : coloured('dim', `  verified ${spanText(nowMs - verifiedMs)} ago`);
  return `${have < want ? coloured('red', count) : count} ${source}:${escapePath(path)}  ${hosts}${verified}`;
}

/** Parted by tabs: have, want, source, path, hosts. */
function plainLine({ have, want, holders, source, path }: ReplicaReport): string {
  return [have, want, source, escapePath(path), holders.map(({ host }) => host).join(',')].join('\t');
}
