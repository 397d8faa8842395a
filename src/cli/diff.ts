/** `cluster diff A [B]`: what changed from one snapshot to another, or from one to the folder as it is now. */
import { Command } from 'commander';
import type { Difference } from '../catalog/diff.js';
import type { Entry } from '../catalog/entry.js';
import { escapePath } from '../catalog/path-text.js';
import { ClusterError } from '../core/fault.js';
import type { Resolved, Service } from '../daemon/service.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { SPEC_HELP } from './ls.js';
import type { Run } from './run.js';
import { countText, shortId, sizeText, timeText } from './text.js';

/** The letters that restic uses. */
const LETTERS: Readonly<Record<Difference['kind'], string>> = {
  added: '+',
  removed: '-',
  content: 'M',
  type: 'T',
  metadata: 'U',
};

export const diffCommand = (run: Run): Command =>
  new Command('diff')
    .description('what changed from one snapshot to another: + new, - gone, M other content, T other type')
    .argument('<a>', SPEC_HELP)
    .argument('[b]', "the later one, of the same path; without it: the folder as it is now, on the source's own host")
    .option('--metadata', 'also where only mode, owner, time or attributes changed (U)')
    .action(run(diff));

interface DiffOptions {
  readonly metadata?: boolean;
}

async function diff(context: Context, a: string, b: string | undefined, options: DiffOptions): Promise<ExitCode> {
  const told = new ToldDifferences(context, options);
  return b === undefined ? diffWithFolder(context, a, told) : diffOfSnapshots(context, [a, b], told);
}

async function diffOfSnapshots(
  context: Context,
  [a, b]: readonly [string, string],
  told: ToldDifferences,
): Promise<ExitCode> {
  const service = context.service();
  const before = await service.resolve({ spec: a }, context.signal);
  const after = await service.resolve({ spec: b }, context.signal);
  if (!before.under.equals(after.under)) {
    const text = `${escapePath(before.under) || 'all'} and ${escapePath(after.under) || 'all'} cannot be compared, because diff goes path by path: name the same path twice`;
    throw new ClusterError('BAD_ARGUMENT', text, { blame: 'operator' });
  }
  // Loaded only here: no other command needs it.
  const { diffEntries } = await import('../catalog/diff.js');
  const entries = (of: Resolved): AsyncIterable<Entry> => entriesOf(service, of, context.signal);
  for await (const difference of diffEntries(entries(before), entries(after))) await told.tell(difference);
  await told.end();
  return EXIT.ok;
}

async function diffWithFolder(context: Context, spec: string, told: ToldDifferences): Promise<ExitCode> {
  let snapshot: string | undefined;
  let unread = 0;
  for await (const report of context.service().liveDiff({ spec }, context.signal)) {
    switch (report.kind) {
      case 'waits':
        context.note('a backup or another diff of this source is running: the folder is looked at after that');
        break;
      case 'against': {
        const { id, source, timeMs } = report.snapshot;
        snapshot = id;
        context.note(`snapshot ${shortId(id)} of ${source}, ${timeText(timeMs)}, and the folder as it is now`);
        break;
      }
      case 'unread':
        unread += 1;
        context.note(`not read, so not compared: ${escapePath(report.path) || '.'}: ${report.because}`);
        break;
      case 'more-unread':
        unread += report.count;
        context.note(`… and ${report.count} more in this source not read`);
        break;
      default:
        await told.tell(report);
    }
  }
  await told.end({ snapshot, unread });
  return unread > 0 ? EXIT.incomplete : EXIT.ok;
}

class ToldDifferences {
  readonly #context: Context;
  readonly #metadata: boolean;
  readonly #counts: Record<Difference['kind'], number> = { added: 0, removed: 0, type: 0, content: 0, metadata: 0 };
  #addedBytes = 0;
  #removedBytes = 0;

  constructor(context: Context, { metadata }: DiffOptions) {
    this.#context = context;
    this.#metadata = metadata === true;
  }

  async tell(difference: Difference): Promise<void> {
    const { kind } = difference;
    if (kind === 'metadata' && !this.#metadata) return;
    this.#counts[kind] += 1;
    if ('before' in difference && kind !== 'metadata') this.#removedBytes += difference.before.size;
    if ('after' in difference && kind !== 'metadata') this.#addedBytes += difference.after.size;
    const entry = 'after' in difference ? difference.after : difference.before;
    const path = entry.path.length === 0 ? '.' : `${escapePath(entry.path)}${entry.kind === 'directory' ? '/' : ''}`;
    if (this.#context.json) await this.#context.record({ message_type: 'change', path, modifier: LETTERS[kind] });
    else await this.#context.print(`${LETTERS[kind]}    ${path}`);
  }

  /** Reports the totals; `fields`: further fields of the JSON record. */
  async end(fields: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const { added, removed, content, type } = this.#counts;
    const [addedBytes, removedBytes] = [this.#addedBytes, this.#removedBytes];
    if (this.#context.json) {
      const bytes = { added_bytes: addedBytes, removed_bytes: removedBytes };
      await this.#context.record({ message_type: 'statistics', ...this.#counts, ...bytes, ...fields });
      return;
    }
    this.#context.note(
      `${countText(added, 'entry', 'entries')} new, ${removed} gone, ${content + type} changed; ` +
        `${sizeText(addedBytes)} new, ${sizeText(removedBytes)} gone`,
    );
  }
}

async function* entriesOf(
  service: Service,
  { sourceId, snapshot, under }: Resolved,
  signal: AbortSignal,
): AsyncGenerator<Entry> {
  for await (const item of service.entries({ sourceId, snapshot: snapshot.id, under }, signal)) {
    // If these entries were left out, they would be reported as gone or as new.
    if ('lacking' in item)
      throw new ClusterError('UNREACHABLE', `after ${escapePath(item.after) || 'the beginning'}: ${item.lacking}`, {
        blame: 'passing',
      });
    yield item.entry;
  }
}
