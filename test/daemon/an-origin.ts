/** An origin whose source is a scratch one; a test states only its difference. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { SourceHistory } from '../../src/catalog/source-history.js';
import { findEntry, walkParcels } from '../../src/catalog/walk.js';
import type { LogPosition } from '../../src/core/holdings-log.js';
import type { HostId, ParcelId } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { CatalogKeeper } from '../../src/daemon/catalog-keeper.js';
import { Forgotten } from '../../src/daemon/forgotten.js';
import { OnceCopied } from '../../src/daemon/once-copied.js';
import { Origin } from '../../src/daemon/origin.js';
import { Revocations } from '../../src/daemon/revocations.js';
import type { Roster } from '../../src/daemon/roster.js';
import { anyTimeMs, aSource, type ScratchSource } from '../catalog/scratch-source.js';

/** The origin of a scratch source; `held` are the parcels that somebody holds, `positions` the ends of the logs that say so. */
export async function anOrigin(
  t: Pick<ExecutionContext, 'teardown'>,
  source: ScratchSource,
  changes: Partial<ConstructorParameters<typeof Origin>[0]> = {},
) {
  const log = pino({ level: 'silent' });
  const folder = join(source.folder, 'heads');
  mkdirSync(folder, { recursive: true });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const held = new Set<ParcelId>();
  const positions: { readonly host: HostId; readonly position: LogPosition }[] = [];
  const known = {
    isClaimed: (parcel: ParcelId) => held.has(parcel),
    positions: () => positions.values(),
  };
  const self = aSource.slice(0, 32) as HostId;
  const now = { ms: anyTimeMs };
  const forgotten = new Forgotten({ forgotten: [], released: [] }, () => true);
  const catalog = new CatalogKeeper({
    folder,
    objects: source.objects,
    fromPeer: () => source.objects,
    find: async () => undefined,
    forgotten,
    runMs: () => now.ms - anyTimeMs,
    hasCopy: parcel => held.has(parcel),
    // The keeper asks it for keys and names only.
    roster: { keyOf: () => source.keys.publicKey, nameOf: () => 'laptop' } as unknown as Roster,
    revocations: new Revocations({ revoked: [] }),
    tell: () => undefined,
    alarms,
    log,
  });
  const history = await SourceHistory.open({ folder: join(source.folder, 'own'), signer: source.signer });
  const ended = new AbortController();
  const origin = new Origin({
    host: self,
    signer: source.signer,
    history,
    catalog,
    forgotten,
    brakes: { configure: () => undefined, acceptedMs: () => undefined, on: () => undefined, sinceMs: () => undefined },
    objects: source.objects,
    known,
    cache: source.cache,
    beginScan: () => () => undefined,
    clock: { nowMs: () => now.ms, wallMs: () => now.ms },
    pausing: { isPaused: false },
    onceCopied: new OnceCopied({
      self,
      stateDir: source.folder,
      known,
      objects: source.objects,
      wallMs: () => now.ms,
      log,
    }),
    // As where two hosts have a source of this name.
    names: { nameOf: () => 'imac/photos' },
    alarms,
    log,
    signal: ended.signal,
    scratchFolder: source.folder,
    forbidden: () => [],
    hanging: () => undefined,
    askEverybody: async () => undefined,
    ...changes,
  } as unknown as ConstructorParameters<typeof Origin>[0]);
  /** Once something is listed: a source without a snapshot is due at once. */
  const configure = (): void =>
    origin.configure([
      {
        name: 'photos',
        path: source.root,
        schedule: { kind: 'every', everyMs: 3_600_000 },
        jitterMs: 0,
        exclude: [],
        hooks: {},
      } as never,
    ]);
  t.teardown(async () => {
    ended.abort();
    await origin.stop();
  });
  const list = async (): Promise<void> => {
    const id = source.last as NonNullable<typeof source.last>;
    const { timeMs } = await readSnapshot(source.objects, id);
    const known = await history.relist(aSource, newest => ({
      snapshots: [...(newest?.snapshots ?? []), { id, timeMs, complete: true }],
      unacceptedSinceMs: undefined,
    }));
    await catalog.offer(known.sealed, undefined);
    configure();
  };
  const tear = async (path: string): Promise<void> => {
    const found = await findEntry(source.objects, source.last as never, Buffer.from(path));
    if (found === undefined) throw new Error(`no entry ${path}`);
    origin.torn({ source: aSource, parcel: found.parcel, path: found.entry.path });
    await origin.cutOutTorn(aSource);
  };
  /** What the history had before a restart. */
  const listed = async (): Promise<void> => {
    await catalog.offer(history.head(aSource)?.sealed as Uint8Array, undefined);
    configure();
  };
  const newest = () => catalog.get(aSource)?.head.snapshots.at(-1)?.id;
  const hold = async (): Promise<void> => {
    for await (const { id } of walkParcels(source.objects, source.last as never)) held.add(id);
  };
  return {
    origin,
    catalog,
    history,
    alarms,
    held,
    configure,
    list,
    listed,
    tear,
    newest,
    hold,
    positions,
    now,
    noteCopied: () => origin.noteCopied(aSource),
  };
}
