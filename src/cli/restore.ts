/**
 * `cluster restore SPEC --target DIR`: files back from whoever is up. The service fetches; this process writes, so that what
 * it makes belongs to the one who typed it.
 */
import { Command, Option } from 'commander';
import { escapePath } from '../catalog/path-text.js';
import type { PlacedEntry } from '../catalog/restore-content.js';
import type { RestoreProblem, RestoreReport } from '../catalog/restore-tree.js';
import type { Resolved, Service } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { SPEC_HELP } from './ls.js';
import { Progress } from './progress.js';
import type { Run } from './run.js';
import { countText, shortId, sizeText, timeRecord, timeText } from './text.js';
import { tellNewer, tellUnreachable } from './unreachable.js';

interface RestoreOptions {
  readonly target: string;
  readonly dryRun?: boolean;
  readonly verify?: boolean;
  readonly overwrite?: boolean;
  readonly keepExisting?: boolean;
}

/** Lines about single files; the rest is counted. With --json all are told. */
const PROBLEMS_SHOWN = 20;

export const restoreCommand = (run: Run): Command =>
  new Command('restore')
    .description('write a snapshot, or a part of it, into a folder; exit code 3 when not all of it could be restored')
    .argument('<source>', SPEC_HELP)
    .requiredOption('--target <dir>', 'an absent or empty folder, or one where this same restore was interrupted')
    .option('--dry-run', 'say what would be written, and write nothing')
    .option('--verify', 'read everything back afterwards')
    .option('--overwrite', 'in a folder that is not empty: replace files that differ')
    .addOption(
      new Option('--keep-existing', 'in a folder that is not empty: leave every file that is there').conflicts([
        'overwrite',
        'verify',
      ]),
    )
    .action(run(restore));

async function restore(context: Context, spec: string, options: RestoreOptions): Promise<ExitCode> {
  const service = context.service();
  const { signal } = context;
  const resolved = await service.resolve({ spec }, signal);
  tellNewer(context, resolved.newer);
  tellUnreachable(context, resolved.unreachable);
  const { restoreTree } = await import('../catalog/restore-tree.js');

  const { sourceId, snapshot, under } = resolved;
  const request = { sourceId, snapshot: snapshot.id, under };
  const problems = new Problems(context);
  const total = await totalOf(service, resolved, signal);
  const progress = await Progress.start(context, { what: 'files', count: total.files, bytes: total.bytes });
  let report: RestoreReport;
  try {
    report = await restoreTree({
      entries: passSignal => service.entries(request, passSignal),
      content: (asked, askSignal) => service.content(asked, askSignal),
      target: options.target,
      mark: { snapshot: snapshot.id, sourceId, under },
      existing: options.overwrite ? 'overwrite' : options.keepExisting ? 'keep' : 'refuse',
      dryRun: options.dryRun === true,
      verify: options.verify === true,
      signal,
      onProblem: problem => problems.add(problem),
      onProgress: ({ phase, files, bytes }) => progress.step({ phase, count: files, bytes }),
    });
  } finally {
    progress.stop();
    problems.tell();
  }
  await tell(context, { resolved, report, options });
  return report.failed > 0 || report.notSet > 0 ? EXIT.incomplete : EXIT.ok;
}

/** For the progress only. Of a part, nobody has counted the files before. */
async function totalOf(
  service: Service,
  resolved: Resolved,
  signal: AbortSignal,
): Promise<{ files: number; bytes: number }> {
  const { sourceId, snapshot, under } = resolved;
  if (under.length === 0) return { files: snapshot.files, bytes: snapshot.bytes };
  const total = { files: 0, bytes: 0 };
  const entries: AsyncIterable<PlacedEntry> = service.entries({ sourceId, snapshot: snapshot.id, under }, signal);
  for await (const { entry } of entries) {
    if (entry.kind !== 'file') continue;
    total.files += 1;
    total.bytes += entry.size;
  }
  return total;
}

/** Held back until the bar is gone, and bounded, for there may be as many as files. */
class Problems {
  readonly #context: Context;
  readonly #shown: string[] = [];
  #more = 0;

  constructor(context: Context) {
    this.#context = context;
  }

  add(problem: RestoreProblem): void {
    const path = escapePath(problem.path);
    const what = problem.kind === 'failed' ? 'not restored' : `${problem.what} not set`;
    if (this.#context.json) {
      const { kind, because } = problem;
      const part = kind === 'not-set' ? { what: problem.what } : {};
      void this.#context.record({ message_type: 'problem', kind, path, because, ...part });
    } else if (this.#shown.length < PROBLEMS_SHOWN)
      this.#shown.push(`${what}: ${path || 'the folder itself'}: ${problem.because}`);
    else this.#more += 1;
  }

  tell(): void {
    for (const line of this.#shown) this.#context.note(line);
    if (this.#more > 0) this.#context.note(`… and ${this.#more} more (--json tells all)`);
  }
}

async function tell(
  context: Context,
  {
    resolved,
    report,
    options,
  }: { readonly resolved: Resolved; readonly report: RestoreReport; readonly options: RestoreOptions },
): Promise<void> {
  const { snapshot, source } = resolved;
  const { files, bytes, folders, symlinks, kept, failed, notSet, verified, resumable } = report;
  if (context.json) {
    return context.record({
      message_type: 'restore',
      source,
      snapshot: snapshot.id,
      time: timeRecord(snapshot.timeMs),
      path: escapePath(resolved.under),
      target: options.target,
      dry_run: options.dryRun === true,
      restored: files,
      bytes,
      folders,
      symlinks,
      kept,
      failed,
      not_set: notSet,
      verified,
      resumable,
    });
  }
  const done = options.dryRun ? 'would restore' : 'restored';
  const parts = [
    `${countText(files, 'file')} (${sizeText(bytes)})`,
    countText(folders, 'folder'),
    countText(symlinks, 'symlink'),
  ];
  if (kept > 0) parts.push(`kept ${countText(kept, 'file')} that ${kept === 1 ? 'was' : 'were'} there`);
  if (options.verify) parts.push(`read back ${verified}`);
  await context.print(
    `${done} ${source}@${shortId(snapshot.id)} of ${timeText(snapshot.timeMs)} into ${options.target}: ${parts.join(', ')}`,
  );
  if (failed > 0) context.note(`${countText(failed, 'entry').replace(/ys$/, 'ies')} could not be restored`);
  if (notSet > 0)
    context.note(`${countText(notSet, 'thing')} could not be set as ${notSet === 1 ? 'it was' : 'they were'}`);
  if (resumable) context.note('What failed may come later: run the same command again, and only that is fetched.');
}
