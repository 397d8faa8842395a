import { mkdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { SourceHistory } from '../../src/catalog/source-history.js';
import { findEntry, readSnapshot } from '../../src/catalog/walk.js';
import type { ParcelId } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { CatalogKeeper } from '../../src/daemon/catalog-keeper.js';
import { Forgotten } from '../../src/daemon/forgotten.js';
import { Origin } from '../../src/daemon/origin.js';
import { Revocations } from '../../src/daemon/revocations.js';
import type { Roster } from '../../src/daemon/roster.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';

/** The origin of a scratch source; `held` are the parcels that somebody holds. */
async function anOrigin(t: ExecutionContext, source: ScratchSource) {
  const log = pino({ level: 'silent' });
  const folder = join(source.folder, 'heads');
  mkdirSync(folder);
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const held = new Set<ParcelId>();
  const forgotten = new Forgotten({ forgotten: [], released: [] }, () => true);
  const catalog = new CatalogKeeper({
    folder,
    objects: source.objects,
    fromPeer: () => source.objects,
    find: async () => undefined,
    forgotten,
    runMs: () => 0,
    hasCopy: parcel => held.has(parcel),
    // The keeper asks it for keys only.
    roster: { keyOf: () => source.keys.publicKey } as unknown as Roster,
    revocations: new Revocations({ revoked: [] }),
    tell: () => undefined,
    alarms,
    log,
  });
  const history = await SourceHistory.open({ folder: join(source.folder, 'own'), signer: source.signer });
  const ended = new AbortController();
  const origin = new Origin({
    host: aSource.slice(0, 32),
    signer: source.signer,
    history,
    catalog,
    forgotten,
    brakes: { on: () => undefined, sinceMs: () => undefined },
    objects: source.objects,
    machine: { holders: (parcel: ParcelId) => (held.has(parcel) ? ['somebody'] : []) },
    cache: source.cache,
    clock: { nowMs: () => anyTimeMs, wallMs: () => anyTimeMs },
    alarms,
    log,
    signal: ended.signal,
  } as unknown as ConstructorParameters<typeof Origin>[0]);
  origin.configure([
    { name: 'photos', path: source.root, schedule: { kind: 'every', everyMs: 3_600_000 }, hooks: {} } as never,
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
  };
  const tear = async (path: string): Promise<void> => {
    const found = await findEntry(source.objects, source.last as never, Buffer.from(path));
    if (found === undefined) throw new Error(`no entry ${path}`);
    origin.torn({ source: aSource, parcel: found.parcel, path: found.entry.path });
    await origin.cutOutTorn(aSource);
  };
  const newest = () => catalog.get(aSource)?.head.snapshots.at(-1)?.id;
  return { held, list, tear, newest };
}

test('a file that was only touched while it was read stays in its snapshot; one that is gone leaves it', async t => {
  const source = new ScratchSource(t);
  source.write({ 'touched.txt': 'the same', 'other.txt': 'other' });
  const { list, tear, newest } = await anOrigin(t, source);
  await source.take();
  await list();

  source.setTime('touched.txt', 1_000_000);
  await tear('touched.txt');
  t.is(newest(), source.last);

  unlinkSync(source.path('touched.txt'));
  await tear('touched.txt');
  t.deepEqual(await source.paths(newest()), ['other.txt']);
});

test('a file that cannot be read any more and whose bytes others hold is no deletion', async t => {
  const source = new ScratchSource(t);
  source.write({ 'kept.txt': 'held by others', 'other.txt': 'one' });
  const { held, list, tear, newest } = await anOrigin(t, source);
  await source.take();
  await list();
  const first = await findEntry(source.objects, source.last as never, Buffer.from('kept.txt'));
  held.add(first?.parcel as ParcelId);

  // Carried over from the first snapshot, in a parcel that is new because its neighbour changed.
  source.write({ 'other.txt': 'another' });
  await source.take({ nowMs: anyTimeMs + 1_000 });
  await list();
  unlinkSync(source.path('kept.txt'));
  await tear('kept.txt');
  t.is(newest(), source.last);
  t.deepEqual(await source.paths(newest()), ['kept.txt', 'other.txt']);

  held.clear();
  await tear('kept.txt');
  t.deepEqual(await source.paths(newest()), ['other.txt']);
});
