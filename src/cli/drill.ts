/** `cluster drill`: a few files, picked by chance, are restored from their copies and thrown away. */
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
      'restore a few files from their copies, to see that they can be; exit code 22 when one cannot, or none was there to try',
    )
    .argument('[source]', 'NAME, or HOST/NAME where two hosts have one of that name; default: all')
    .option('--files <n>', `how many of each source; default ${FILES_DEFAULT}`, countArgument)
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
  if (context.json) await context.record({ message_type: 'drill-summary', tried: right + failed, failed, bytes });
  if (right + failed === 0) throw nothingTried();
  const told = `${countText(right, 'file')}, ${sizeText(bytes)}, came from their copies and are right`;
  if (!context.json) await context.print(failed === 0 ? told : `${told}; ${failed} did not come`);
  return failed === 0 ? EXIT.ok : EXIT.drillFailed;
}

function failureText({ source, path, bytes }: DrillReport, { because, hosts }: Failure): string {
  // Of a source without a snapshot that can be read nobody knows more than that.
  if (path === undefined && bytes === 0) return `${source}: ${because}`;
  const what = path === undefined ? `, ${sizeText(bytes)}` : `:${escapePath(path)}`;
  const holders = hosts.length === 0 ? 'nobody says that it holds it' : `held by ${hosts.join(', ')}`;
  return `${source}${what}: ${because}; ${holders}`;
}

/** A drill that proved nothing must not pass for one that did, also where there is no source yet. */
const nothingTried = (): ClusterError =>
  new ClusterError('NOTHING_TRIED', 'no file was tried: there is none with a byte in it, so nothing is proved', {
    blame: 'operator',
  });

type Failure = NonNullable<DrillReport['failure']>;
