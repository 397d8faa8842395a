/** One file: what a command that takes `SOURCE[@SNAPSHOT]:PATH` finds there, and that it is a file. */
import type { Entry } from '../catalog/entry.js';
import { escapePath } from '../catalog/path-text.js';
import { ClusterError } from '../core/fault.js';
import type { ParcelId } from '../core/ids.js';
import type { Service, SnapshotReport } from '../daemon/service.js';
import type { Context } from './context.js';
import { tellNewer } from './unreachable.js';

export interface OneFile {
  readonly source: string;
  readonly snapshot: SnapshotReport;
  /** `source:path`, for people. */
  readonly name: string;
  readonly entry: Entry;
  readonly parcel: ParcelId;
}

interface OneFileOptions {
  /** The command that takes folders too. */
  readonly forMore: string;
  /** Nothing of the file is to be read: it need not be had from anybody. */
  readonly thoughAway?: true;
}

/**
 * @throws ClusterError BAD_ARGUMENT for what is no file; UNREACHABLE; and what `resolve` throws
 */
export async function oneFile(
  context: Context,
  spec: string,
  { forMore, ...request }: OneFileOptions,
): Promise<OneFile> {
  const service = context.service();
  const { sourceId, snapshot, under, newer, source } = await service.resolve({ spec, ...request }, context.signal);
  tellNewer(context, newer);
  const name = `${source}:${escapePath(under)}`;
  const items = service.entries({ sourceId, snapshot: snapshot.id, under }, context.signal);
  const found = await entryAt(items, { under, name });
  if (found?.entry.kind === 'file') return { source, snapshot, name, entry: found.entry, parcel: found.parcel };
  throw new ClusterError(
    'BAD_ARGUMENT',
    `${name} is a ${found?.entry.kind ?? 'directory'}: name one file, or use ${forMore}`,
    { blame: 'operator' },
  );
}

/** Goes on past entries that no host can give: the one that is looked for may come after them. */
async function entryAt(
  items: ReturnType<Service['entries']>,
  { under, name }: { readonly under: Buffer; readonly name: string },
) {
  let lacking: string | undefined;
  for await (const item of items) {
    if ('lacking' in item) lacking ??= item.lacking;
    else if (!item.isStandIn && item.entry.path.equals(under)) return item;
  }
  if (lacking === undefined) return undefined;
  throw new ClusterError('UNREACHABLE', `${name} may be in ${lacking}`, { blame: 'passing' });
}
