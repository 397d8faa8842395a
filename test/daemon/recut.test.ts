import { mkdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { PARCEL_FILE_BYTES } from '../../src/catalog/cut.js';
import { SourceHistory } from '../../src/catalog/source-history.js';
import { findEntry, readSnapshot, walkParcels } from '../../src/catalog/walk.js';
import { type LogPosition, logStart } from '../../src/core/holdings-log.js';
import { type HostId, type ParcelId, parseHostId, parseStoreId } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { CatalogKeeper } from '../../src/daemon/catalog-keeper.js';
import { Forgotten } from '../../src/daemon/forgotten.js';
import { OnceCopied } from '../../src/daemon/once-copied.js';
import { Origin } from '../../src/daemon/origin.js';
import type { Roster } from '../../src/daemon/roster.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';

/** The origin of a scratch source; `held` are the parcels that somebody holds, `positions` the ends of the logs that say so. */
async function anOrigin(t: ExecutionContext, source: ScratchSource) {
  const log = pino({ level: 'silent' });
  const folder = join(source.folder, 'heads');
  mkdirSync(folder, { recursive: true });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const held = new Set<ParcelId>();
  const positions: { readonly host: HostId; readonly position: LogPosition }[] = [];
  const machine = {
    holders: (parcel: ParcelId) => (held.has(parcel) ? ['somebody'] : []),
    positions: () => positions,
  };
  const self = aSource.slice(0, 32) as HostId;
  const now = { ms: anyTimeMs };
  const forgotten = new Forgotten({ forgotten: [], released: [] }, () => true);
  const catalog = new CatalogKeeper({
    folder,
    objects: source.objects,
    fromPeer: () => source.objects,
    forgotten,
    runMs: () => 0,
    hasCopy: parcel => held.has(parcel),
    // The keeper asks it for keys only.
    roster: { keyOf: () => source.keys.publicKey } as unknown as Roster,
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
    brakes: { on: () => undefined, sinceMs: () => undefined },
    objects: source.objects,
    machine,
    cache: source.cache,
    clock: { nowMs: () => now.ms, wallMs: () => now.ms },
    onceCopied: new OnceCopied({
      self,
      stateDir: source.folder,
      machine: machine as never,
      objects: source.objects,
      wallMs: () => now.ms,
      log,
    }),
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
  /** What the history had before a restart. */
  const listed = () => catalog.offer(history.head(aSource)?.sealed as Uint8Array, undefined);
  const newest = () => catalog.get(aSource)?.head.snapshots.at(-1)?.id;
  const hold = async (): Promise<void> => {
    for await (const { id } of walkParcels(source.objects, source.last as never)) held.add(id);
  };
  return { held, list, listed, tear, newest, hold, positions, now, noteCopied: () => origin.noteCopied(aSource) };
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

/** A snapshot of which somebody has each parcel, and one after it that shares the parcel of `kept.txt` and that nobody has in full. */
async function twoSnapshots(t: ExecutionContext) {
  const source = new ScratchSource(t);
  source.write({ 'kept.txt': 'held by others', 'large.bin': Buffer.alloc(PARCEL_FILE_BYTES) });
  const origin = await anOrigin(t, source);
  await source.take();
  await origin.list();
  const first = source.last as NonNullable<typeof source.last>;
  await origin.hold();
  const next = async (): Promise<void> => {
    source.write({ 'large.bin': Buffer.alloc(PARCEL_FILE_BYTES, 1) });
    await source.take({ nowMs: anyTimeMs + 1_000 });
    await origin.list();
    unlinkSync(source.path('kept.txt'));
  };
  return { source, first, next, ...origin };
}

test('what was once copied is cut out of no snapshot, though nobody says any more that he holds it', async t => {
  const { source, next, held, tear, newest, noteCopied } = await twoSnapshots(t);
  t.true(await noteCopied());
  await next();
  t.false(await noteCopied());
  held.clear();
  await tear('kept.txt');
  t.is(newest(), source.last);

  // Over a restart, too; and where the file is damaged all that there is counts as copied.
  const file = join(source.folder, 'copied.json');
  const again = await anOrigin(t, source);
  await again.listed();
  await again.tear('kept.txt');
  t.is(again.newest(), source.last);
  writeFileSync(file, '{"sources":');
  const damaged = await anOrigin(t, source);
  await damaged.listed();
  await damaged.tear('kept.txt');
  t.is(damaged.newest(), source.last);
  await damaged.noteCopied();
  rmSync(file);
  const without = await anOrigin(t, source);
  await without.listed();
  await without.tear('kept.txt');
  t.not(without.newest(), source.last);
});

test('nothing that is older than a log which was begun anew is cut, for as long as its store may be read again', async t => {
  const { source, next, held, tear, newest, noteCopied, positions, now } = await twoSnapshots(t);
  const store = parseStoreId('5'.repeat(32));
  const logAt = (counter: number) => ({
    host: parseHostId('b'.repeat(32)),
    position: logStart(store, { counter, random: '00'.repeat(8) }),
  });
  held.clear();
  await next();
  positions.push(logAt(7));
  await noteCopied();
  positions[0] = logAt(8);
  // Between the two: the store can have had nothing that is in the second alone.
  now.ms = anyTimeMs + 500;
  await tear('kept.txt');
  t.is(newest(), source.last);
  source.write({ 'large.bin': Buffer.alloc(PARCEL_FILE_BYTES, 2) });
  await tear('large.bin');
  t.not(newest(), source.last);
  t.deepEqual(await source.paths(newest()), ['kept.txt', 'large.bin']);

  now.ms += 4 * 86_400_000;
  await tear('kept.txt');
  t.deepEqual(await source.paths(newest()), ['large.bin']);
});
