/**
 * `cluster restore SPEC --target DIR`: restores files from the hosts that are up. The service fetches; this process
 * writes, so that the files belong to the user who typed the command. With `--from-store`, bare disks stand in for the
 * service.
 */
import { Command, Option } from 'commander';
import { lackingText } from '../catalog/partial-text.js';
import { escapePath } from '../catalog/path-text.js';
import type { RestoreReport } from '../catalog/restore-tally.js';
import { ClusterError } from '../core/fault.js';
import type { Resolved, Service } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { FROM_STORE, needSpec, SPEC_ON_STORES } from './from-store-option.js';
import { SPEC_HELP } from './ls.js';
import { Progress } from './progress.js';
import type { Restorable } from './restorable.js';
import { RestoreProblems } from './restore-problems.js';
import type { Run } from './run.js';
import { countText, shortId, sizeText, timeRecord, timeText } from './text.js';
import { tellNewer, tellUnreachable } from './unreachable.js';

interface RestoreOptions {
  readonly target: string;
  readonly fromStore?: readonly string[];
  readonly dryRun?: boolean;
  readonly verify?: boolean;
  readonly overwrite?: boolean;
  readonly keepExisting?: boolean;
}

export const restoreCommand = (run: Run): Command =>
  new Command('restore')
    .description(
      'write a snapshot, or a part of it, into a folder; exit code 3 when not all of it could be restored, or set as it was. That a partial snapshot lacks something is reported, and is not a failure of the restore',
    )
    .argument('[source]', `${SPEC_HELP}; ${SPEC_ON_STORES}`)
    .requiredOption('--target <dir>', 'an absent or empty folder, or one where this same restore was interrupted')
    .option(...FROM_STORE)
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

async function restore(context: Context, spec: string | undefined, options: RestoreOptions): Promise<ExitCode> {
  const problems = new RestoreProblems(context);
  try {
    const restorable = await restorableOf(context, { spec, options, problems });
    tellPartial(context, restorable);
    const report = await write(context, { restorable, options, problems });
    problems.tell();
    await tell(context, { restorable, report, options, problems });
    return report.failed > 0 || report.notSet > 0 || restorable.isShort ? EXIT.incomplete : EXIT.ok;
  } finally {
    problems.tell();
  }
}

async function restorableOf(
  context: Context,
  {
    spec,
    options,
    problems,
  }: { readonly spec: string | undefined; readonly options: RestoreOptions; readonly problems: RestoreProblems },
): Promise<Restorable> {
  const { fromStore: words, target, dryRun = false } = options;
  if (words !== undefined) {
    const { restorableFrom } = await import('./restore-from-store.js');
    return restorableFrom(context, {
      command: 'restore',
      words,
      spec,
      target,
      dryRun,
      onDamage: damage => problems.damaged(damage),
      onMissing: path => problems.add({ kind: 'failed', path, because: 'its content is on none of these disks' }),
    });
  }
  const { overwrite = false } = options;
  return fromService(context, { spec: needSpec(spec), target, overwrite, dryRun });
}

interface Named {
  readonly spec: string;
  readonly target: string;
  readonly overwrite: boolean;
  readonly dryRun: boolean;
}

async function fromService(context: Context, named: Named): Promise<Restorable> {
  const { dryRun } = named;
  const service = context.service();
  const { signal } = context;
  const resolved = (await unfinished(context, named)) ?? (await service.resolve({ spec: named.spec }, signal));
  tellNewer(context, resolved.newer);
  tellUnreachable(context, resolved.unreachable);
  const { source, sourceId, snapshot, under } = resolved;
  const request = { sourceId, snapshot: snapshot.id, under };
  return {
    source,
    sourceId,
    snapshot,
    under,
    total: await totalOf(service, resolved, signal),
    entries: passSignal => service.entries(request, passSignal),
    content: (asked, askSignal) => service.content(asked, askSignal),
    advice: 'What failed may succeed later: run the same command again, and only that is fetched.',
    // No store that is up has some of it. The origin may still give that from its live files, if they have not changed.
    isShort: dryRun && resolved.unreachable !== undefined,
  };
}

/**
 * The restore that was begun in the target, if the spec names the same source and path but no snapshot: the newest
 * snapshot may be another one by now, and whoever runs the same command again wants the missing files. Whoever gives
 * `--overwrite` wants the newest.
 */
async function unfinished(context: Context, { spec, target, overwrite }: Named): Promise<Resolved | undefined> {
  if (overwrite || NAMES_SNAPSHOT.test(spec)) return undefined;
  const { unfinishedIn } = await import('../catalog/restore-target.js');
  const mark = unfinishedIn(target);
  if (mark === undefined) return undefined;
  const [source = ''] = spec.split(':', 1);
  let resolved: Resolved;
  try {
    const named = `${source}@${mark.snapshot}${spec.slice(source.length)}`;
    resolved = await context.service().resolve({ spec: named }, context.signal);
  } catch (error) {
    // The snapshot is another source's, or no host keeps it any longer. The target is then refused for its mark, if
    // nothing else is wrong.
    if (error instanceof ClusterError && error.blame === 'operator') return undefined;
    throw error;
  }
  const { sourceId, snapshot, under } = resolved;
  if (sourceId !== mark.sourceId || escapePath(under) !== mark.under) return undefined;
  const time = timeText(snapshot.timeMs);
  context.note(`going on with ${mark.text} of ${time}, which was begun here; the newest snapshot is ${source}@latest`);
  return resolved;
}

function tellPartial(context: Context, { snapshot, under }: Restorable): void {
  if (!snapshot.partial) return;
  const { id, stale, missed } = snapshot;
  const isPart = under.length > 0 ? ' of the whole source' : '';
  const lacks =
    stale + missed === 0
      ? 'what could not be read when it was taken is as it was before, or left out'
      : `${countText(stale + missed, 'entry', 'entries')}${isPart} could not be read when it was taken: ${lackingText(snapshot)}`;
  const names = missed > 0 ? ". It does not have the names of what was missed; its origin's log has some" : '';
  context.note(`snapshot ${shortId(id)} is partial: ${lacks}${names}`);
}

const NAMES_SNAPSHOT = /^[^:]*@/;

async function write(
  context: Context,
  {
    restorable,
    options,
    problems,
  }: { readonly restorable: Restorable; readonly options: RestoreOptions; readonly problems: RestoreProblems },
): Promise<RestoreReport> {
  const { restoreTree } = await import('../catalog/restore-tree.js');
  const { sourceId, snapshot, under, total, entries, content } = restorable;
  const progress = await Progress.start(context, { what: 'files', count: total.files, bytes: total.bytes });
  try {
    return await restoreTree({
      entries,
      content,
      target: options.target,
      mark: { snapshot: snapshot.id, sourceId, under },
      existing: options.overwrite ? 'overwrite' : options.keepExisting ? 'keep' : 'refuse',
      dryRun: options.dryRun === true,
      verify: options.verify === true,
      signal: context.signal,
      onProblem: problem => problems.add(problem),
      onProgress: ({ phase, files, bytes, keptBytes }) => progress.step({ phase, count: files, bytes, keptBytes }),
      onWaiting: hosts => progress.wait(hosts),
    });
  } finally {
    progress.stop();
  }
}

/** For the progress only. A snapshot has no count of the files in a part of it, so they are counted here. */
async function totalOf(
  service: Service,
  resolved: Resolved,
  signal: AbortSignal,
): Promise<{ files: number; bytes: number }> {
  const { sourceId, snapshot, under } = resolved;
  if (under.length === 0) return { files: snapshot.files, bytes: snapshot.bytes };
  const total = { files: 0, bytes: 0 };
  for await (const item of service.entries({ sourceId, snapshot: snapshot.id, under }, signal)) {
    if ('lacking' in item || item.entry.kind !== 'file') continue;
    total.files += 1;
    total.bytes += item.entry.size;
  }
  return total;
}

async function tell(
  context: Context,
  {
    restorable,
    report,
    options,
    problems,
  }: {
    readonly restorable: Restorable;
    readonly report: RestoreReport;
    readonly options: RestoreOptions;
    readonly problems: RestoreProblems;
  },
): Promise<void> {
  const { snapshot, source, under, advice } = restorable;
  const { files, bytes, folders, symlinks, kept, failed, notSet, verified, stale, resumable } = report;
  if (context.json) {
    return context.record({
      message_type: 'restore',
      source,
      snapshot: snapshot.id,
      time: timeRecord(snapshot.timeMs),
      partial: snapshot.partial,
      path: escapePath(under),
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
      stale,
      missed: snapshot.missed,
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
  // A script may have made the target's name of something that came from elsewhere.
  const target = escapePath(Buffer.from(options.target));
  await context.print(
    `${done} ${source}@${shortId(snapshot.id)} of ${timeText(snapshot.timeMs)} into ${target}: ${parts.join(', ')}`,
  );
  if (failed > 0) context.note(`${countText(failed, 'entry', 'entries')} could not be restored`);
  if (notSet > 0) {
    const [could, were] = [options.dryRun ? 'cannot' : 'could not', notSet === 1 ? 'it was' : 'they were'];
    const whole = failed === 0 ? '; the content is complete' : '';
    context.note(`${countText(notSet, 'thing')} ${could} be set as ${were}${whole}`);
  }
  if (problems.needsRoot)
    context.note(
      `Owners come back when root does it (sudo)${options.dryRun ? '' : ': into another folder, or here with --overwrite'}.`,
    );
  if (stale > 0) {
    const [entries, are] = stale === 1 ? ['entry', 'is'] : ['entries', 'are'];
    context.note(`${stale} ${entries} of the snapshot ${are} older than it: what could not be read when it was taken`);
  }
  if (resumable) context.note(advice);
}
