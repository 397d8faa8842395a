/** `cluster diff A B`: what changed from one snapshot to another. */
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
import { countText, sizeText } from './text.js';

/** As restic shows them. */
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
    .argument('<b>', 'the later one, of the same path')
    .option('--metadata', 'also where only mode, owner, time or attributes changed (U)')
    .action(run(diff));

async function diff(
  context: Context,
  a: string,
  b: string,
  { metadata }: { readonly metadata?: boolean },
): Promise<ExitCode> {
  const service = context.service();
  const before = await service.resolve({ spec: a }, context.signal);
  const after = await service.resolve({ spec: b }, context.signal);
  if (!before.under.equals(after.under)) {
    const text = `${escapePath(before.under) || 'all'} and ${escapePath(after.under) || 'all'} are compared path by path: name the same path twice`;
    throw new ClusterError('BAD_ARGUMENT', text, { blame: 'operator' });
  }
  // Not before it is needed: every other command starts without it.
  const { diffEntries } = await import('../catalog/diff.js');
  const counts: Record<Difference['kind'], number> = { added: 0, removed: 0, type: 0, content: 0, metadata: 0 };
  let addedBytes = 0;
  let removedBytes = 0;
  const entries = (of: Resolved): AsyncIterable<Entry> => entriesOf(service, of, context.signal);
  for await (const difference of diffEntries(entries(before), entries(after))) {
    const { kind } = difference;
    if (kind === 'metadata' && metadata !== true) continue;
    counts[kind] += 1;
    if ('before' in difference && kind !== 'metadata') removedBytes += difference.before.size;
    if ('after' in difference && kind !== 'metadata') addedBytes += difference.after.size;
    const entry = 'after' in difference ? difference.after : difference.before;
    const path = entry.path.length === 0 ? '.' : `${escapePath(entry.path)}${entry.kind === 'directory' ? '/' : ''}`;
    if (context.json) await context.record({ message_type: 'change', path, modifier: LETTERS[kind] });
    else await context.print(`${LETTERS[kind]}    ${path}`);
  }
  if (context.json)
    await context.record({
      message_type: 'statistics',
      ...counts,
      added_bytes: addedBytes,
      removed_bytes: removedBytes,
    });
  else
    context.note(
      `${countText(counts.added, 'entry').replace(/ys$/, 'ies')} new, ${counts.removed} gone, ${counts.content + counts.type} changed; ` +
        `${sizeText(addedBytes)} new, ${sizeText(removedBytes)} gone`,
    );
  return EXIT.ok;
}

async function* entriesOf(
  service: Service,
  { sourceId, snapshot, under }: Resolved,
  signal: AbortSignal,
): AsyncGenerator<Entry> {
  for await (const { entry } of service.entries({ sourceId, snapshot: snapshot.id, under }, signal)) yield entry;
}
