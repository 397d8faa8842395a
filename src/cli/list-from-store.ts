/**
 * List from stores: `cluster snapshots --from-store PATH…` and `cluster ls --from-store PATH…` show what is on the
 * surviving disks, before anything is restored from them.
 */
import type { Entry } from '../catalog/entry.js';
import { lackingIn } from '../catalog/gap-text.js';
import { ifReadable, readSnapshot } from '../catalog/read-object.js';
import { WholeSnapshots } from '../catalog/shortfall.js';
import { isPartial } from '../catalog/snapshot.js';
import { walkReadable } from '../catalog/walk-readable.js';
import type { Damage } from '../store/bare-stores.js';
import type { Context } from './context.js';
import { EXIT, type ExitCode } from './exit-codes.js';
import { findOnStores, openStores } from './on-stores.js';
import { type SnapshotRow, snapshotTable } from './snapshot-table.js';
import { searchSnapshots, sourceNamed } from './sources-on-stores.js';
import { partialText, timeRecord } from './text.js';
import { tellLacking } from './unreachable.js';

export interface ListFromStores {
  readonly words: readonly string[];
  readonly spec: string | undefined;
}

/** Entries whose names are on none of the disks are reported, and the exit code is then `incomplete`. */
export async function listEntries(
  context: Context,
  from: ListFromStores,
  show: (entry: Entry) => Promise<void>,
): Promise<ExitCode> {
  const open = await openStores(context, { command: 'ls', ...from, onDamage: damage => noteDamage(context, damage) });
  const { snapshot, under } = await findOnStores(context, open);
  let code: ExitCode = EXIT.ok;
  for await (const item of walkReadable(open.stores.objects, snapshot.id, { under, signal: context.signal })) {
    if (item.is === 'entry') await show(item.entry);
    if (item.is !== 'gap') continue;
    code = EXIT.incomplete;
    tellLacking(context, lackingIn(item.gap, 'these disks have'));
  }
  return code;
}

/** Oldest first, of one source or of all, including those that are no longer listed but are still on these disks. */
export async function listSnapshots(context: Context, from: ListFromStores): Promise<ExitCode> {
  const open = await openStores(context, {
    command: 'snapshots',
    ...from,
    onDamage: damage => noteDamage(context, damage),
  });
  const { stores, content, wanted, hint } = open;
  const sources = wanted === undefined ? content.sources : [sourceNamed(wanted, content.sources, hint)];
  const whole = new WholeSnapshots(stores);
  const rows: SnapshotRow[] = [];
  const found = await searchSnapshots(stores, content, context.signal);
  const all = sources.flatMap(source => {
    const listed = new Set(source.snapshots.map(({ id }) => id));
    const held = (found.get(source.id) ?? []).filter(({ id }) => !listed.has(id));
    return [
      ...source.snapshots.map(snapshot => ({ source, snapshot, isHeld: false })),
      ...held.map(snapshot => ({ source, snapshot, isHeld: true })),
    ];
  });
  for (const { source, snapshot, isHeld } of all.sort((a, b) => a.snapshot.timeMs - b.snapshot.timeMs)) {
    const { id, timeMs } = snapshot;
    const read = await ifReadable(readSnapshot(stores.objects, id));
    const isWhole = await whole.isWhole(id, context.signal);
    const { name, origin } = source;
    const partial = read !== undefined && isPartial(read) ? [partialText(read)] : [];
    const state = [...(isHeld ? ['held'] : []), ...partial, isWhole ? 'whole' : 'not whole'];
    rows.push({ id, timeMs, source: name, origin, files: read?.files, bytes: read?.bytes, state: state.join(', ') });
    if (!context.json) continue;
    await context.record({
      message_type: 'snapshot',
      id,
      source: name,
      origin,
      time: timeRecord(timeMs),
      files: read?.files ?? null,
      bytes: read?.bytes ?? null,
      partial: read === undefined ? null : isPartial(read),
      stale: read?.stale ?? null,
      missed: read?.missed ?? null,
      protected: null,
      held: isHeld,
      whole: isWhole,
    });
  }
  if (!context.json) await context.print(snapshotTable(context.isTerminal, rows));
  return EXIT.ok;
}

function noteDamage(context: Context, { path, what, because }: Damage): void {
  context.note(`damaged: ${what} on ${path}: ${because}`);
}
