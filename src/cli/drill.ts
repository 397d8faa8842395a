/** `cluster drill`: restores a few files, picked at random, from their copies and throws them away. */
import { Command } from 'commander';
import { escapePath } from '../catalog/path-text.js';
import { ClusterError } from '../core/fault.js';
import type { DrillReport } from '../daemon/service.js';
import { countArgument } from './arguments.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import type { Run } from './run.js';
import { countText, sizeText } from './text.js';

const FILES_DEFAULT = 20;

export const drillCommand = (run: Run): Command =>
  new Command('drill')
    .description(
      'restore a few files from their copies, to see that it works; exit code 22 when one cannot be restored, or there was none to try',
    )
    .argument('[source]', 'NAME, or HOST/NAME where two hosts have a source of that name; default: all')
    .option('--files <n>', `how many files of each source; default ${FILES_DEFAULT}`, countArgument)
    .action(run(drill));

async function drill(
  context: Context,
  source: string | undefined,
  { files = FILES_DEFAULT }: { readonly files?: number },
): Promise<ExitCode> {
  let right = 0;
  let failed = 0;
  let bytes = 0;
  const request = { files, ...(source !== undefined && { source }) };
  for await (const report of context.service().drill(request, context.signal)) {
    const { failure } = report;
    if (failure === undefined) {
      right += 1;
      bytes += report.bytes;
    } else {
      failed += 1;
      if (!context.json) context.note(failureText(report, failure));
    }
    if (context.json)
      await context.record({
        message_type: 'drill',
        source: report.source,
        snapshot: report.snapshot ?? null,
        ...(report.path && { path: escapePath(report.path) }),
        bytes: report.bytes,
        restored: failure === undefined,
        because: failure?.because ?? null,
        hosts: failure?.hosts ?? [],
      });
  }
  if (context.json) await context.record({ message_type: 'drill_summary', tried: right + failed, failed, bytes });
  if (right + failed === 0) throw nothingTried();
  const told = `${countText(right, 'file')}, ${sizeText(bytes)}, restored from their copies and verified`;
  if (!context.json) await context.print(failed === 0 ? told : `${told}; ${failed} could not be restored`);
  return failed === 0 ? EXIT.ok : EXIT.drillFailed;
}

function failureText({ source, path, bytes }: DrillReport, { because, hosts }: Failure): string {
  // No snapshot of the source can be read, so nothing more is known.
  if (path === undefined && bytes === 0) return `${source}: ${because}`;
  const what = path === undefined ? `, ${sizeText(bytes)}` : `:${escapePath(path)}`;
  const holders = hosts.length === 0 ? 'no host says that it holds it' : `held by ${hosts.join(', ')}`;
  return `${source}${what}: ${because}; ${holders}`;
}

/** A drill that proved nothing must not pass for one that did, even when there is no source yet. */
const nothingTried = (): ClusterError =>
  new ClusterError('NOTHING_TRIED', 'no file was tried: there is none that is not empty, so nothing is proved', {
    blame: 'operator',
  });

type Failure = NonNullable<DrillReport['failure']>;
