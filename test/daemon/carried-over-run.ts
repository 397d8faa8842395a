/**
 * A program for carried-over.test.ts: it must run without the right to read everything, which tests often have as root.
 * `chain`: what becomes of a file that cannot be read. `month`: whether anything was deleted in one. Prints a line of JSON.
 */
import { chmodSync, closeSync, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { encodePage } from '../../src/catalog/page.js';
import { escapePath } from '../../src/catalog/path-text.js';
import { readPage, readRecord, readSnapshot } from '../../src/catalog/read-object.js';
import { encodeRecord, parcelRefOf } from '../../src/catalog/record.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import { readSourceFile } from '../../src/catalog/source-file.js';
import { findEntry, walkEntries, walkParcels } from '../../src/catalog/walk.js';
import type { ObjectId, ParcelId } from '../../src/core/ids.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { anOrigin } from './an-origin.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ends: (() => void | Promise<void>)[] = [];
const t = { teardown: (end: () => void | Promise<void>) => void ends.push(end) };

/** Somebody asks for all that nobody holds of the newest snapshot; what the origin cannot give it is told. */
async function ask(source: ScratchSource, made: Awaited<ReturnType<typeof anOrigin>>): Promise<ReadonlySet<ParcelId>> {
  const torn = new Set<ParcelId>();
  for await (const { parcel, entry } of walkEntries(source.objects, made.newest() as ObjectId)) {
    if (entry.kind !== 'file' || made.held.has(parcel)) continue;
    const { root, cache } = source;
    if ((await readSourceFile({ root, source: aSource, entry, cache })) !== 'gone') continue;
    torn.add(parcel);
    made.origin.torn({ source: aSource, parcel, path: entry.path });
  }
  await made.origin.cutOutTorn(aSource);
  return torn;
}

async function chain(uncopied: number, holder: 'there' | 'away' | 'noted' | 'never'): Promise<object> {
  const source = new ScratchSource(t);
  source.write({ 'disk/photo': 'precious', 'disk/note': '1' });
  const made = await anOrigin(t as never, source);
  await source.take();
  await made.list();
  if (holder !== 'never') await made.hold();
  if (holder === 'noted') {
    await made.noteCopied();
    made.held.clear();
  }
  chmodSync(source.path('disk/photo'), 0);
  for (let run = 0; run < uncopied; run += 1) {
    made.now.ms += HOUR_MS;
    source.write({ 'disk/note': `run ${run}` });
    await made.origin.backup(aSource, { acceptChanges: false });
    source.last = made.newest();
    if (holder === 'there') await made.hold();
  }
  await ask(source, made);
  const listed = made.catalog.get(aSource)?.head.snapshots ?? [];
  const isIn = async (id: ObjectId) => (await findEntry(source.objects, id, Buffer.from('disk/photo'))) !== undefined;
  return { uncopied, holder, are: await Promise.all(listed.map(({ id }) => isIn(id))) };
}

/** As if a disk had been mounted on the folder when the snapshot was taken. */
async function asMounted(source: ScratchSource, folder: string): Promise<void> {
  const before = await readSnapshot(source.objects, source.last as ObjectId);
  const pages: ObjectId[] = [];
  for (const page of before.pages) {
    const refs = [];
    for (const ref of await readPage(source.objects, page)) {
      const entries = await readRecord(source.objects, ref);
      const mounted = entries.map(entry => (escapePath(entry.path) === folder ? { ...entry, mount: true } : entry));
      const record = encodeRecord({ source: aSource, key: ref.key, entries: mounted });
      await source.objects.put(record);
      refs.push(parcelRefOf(record));
    }
    pages.push(await source.objects.put(encodePage(refs)));
  }
  source.last = await source.objects.put(encodeSnapshot({ ...before, pages }, source.signer));
}

/** Never stops writing to a file. */
function unstable(path: string): void {
  const text = `const fs = require('node:fs'); const { workerData } = require('node:worker_threads');
    const log = fs.openSync(workerData, 'r+');
    for (let n = 0; ; n = (n + 1) % 256) fs.writeSync(log, Buffer.from([n]), 0, 1, 0);`;
  const worker = new Worker(text, { eval: true, workerData: path });
  ends.push(async () => void (await worker.terminate()));
}

/** Every eight hours a snapshot; retention as by `keep: { last: 3, daily: 2 }`, and holds run out. */
async function month(): Promise<object> {
  const source = new ScratchSource(t);
  source.write({
    'open/note': '1',
    'disk/a': 'on the disk',
    'disk/deep/b': 'on the disk too',
    locked: 'cannot be read',
  });
  const log = openSync(source.path('log'), 'w');
  ftruncateSync(log, 2 * 1024 * 1024);
  writeSync(log, 'log');
  closeSync(log);
  const always = ['disk/a', 'disk/deep/b', 'locked', 'log'];
  await source.take();
  await asMounted(source, 'disk');
  let isThere = true;
  const isHeld = async (id: ObjectId): Promise<boolean> => {
    for await (const parcel of walkParcels(source.objects, id)) if (!made.held.has(parcel.id)) return false;
    return true;
  };
  const made = await anOrigin(t as never, source, {
    retainer: {
      judge: async () => {
        const listed = made.catalog.get(aSource)?.head.snapshots ?? [];
        const copied = await Promise.all(listed.map(({ id }) => isHeld(id)));
        const newestCopied = copied.lastIndexOf(true);
        const days = new Set<number>();
        const snapshots = listed.map((one, place) => ({ listed: one, place })).reverse();
        const judged = snapshots.map(({ listed: one, place }) => {
          const day = Math.floor(one.timeMs / DAY_MS);
          const isKept = place >= listed.length - 3 || place === newestCopied || (days.size < 2 && !days.has(day));
          days.add(day);
          return { listed: one, reasons: isKept ? ['last'] : [] };
        });
        return { stopped: undefined, snapshots: judged.reverse() };
      },
    } as never,
  });
  await made.list();
  await made.hold();
  rmSync(source.path('disk'), { recursive: true });
  mkdirSync(source.path('disk'));
  chmodSync(source.path('locked'), 0);
  unstable(source.path('log'));
  const lost: string[] = [];
  let partial = 0;
  let runs = 0;
  let heldAgain = 0;
  for (const endMs = made.now.ms + 30 * DAY_MS; made.now.ms < endMs; runs += 1) {
    made.now.ms += 8 * HOUR_MS;
    source.write({ 'open/note': `run ${runs}` });
    if (runs % 3 === 0) source.write({ [`disk-not${runs}`]: 'beside it', [`locked${runs}`]: 'beside it' });
    await made.origin.backup(aSource, { acceptChanges: false });
    // Two days here, three days away.
    isThere = Math.floor(runs / 3) % 5 < 2;
    const torn = await ask(source, made);
    for await (const { id } of walkParcels(source.objects, made.newest() as ObjectId))
      if (isThere && !torn.has(id)) {
        made.held.add(id);
        heldAgain += 1;
      }
    await made.noteCopied();
    const newest = made.newest() as ObjectId;
    const paths = await source.paths(newest);
    for (const path of always) if (!paths.includes(path)) lost.push(`${path} in run ${runs}`);
    if (made.catalog.get(aSource)?.head.snapshots.at(-1)?.complete === false) partial += 1;
  }
  const listed = made.catalog.get(aSource)?.head.snapshots.length;
  return { lost, runs, partial, listed, held: made.catalog.heldSnapshots(aSource).length, heldAgain: heldAgain > 0 };
}

const answers: object[] = [];
if (process.argv[2] === 'month') answers.push(await month());
else
  for (const holder of ['there', 'away', 'noted', 'never'] as const)
    for (const uncopied of [0, 1, 2, 3, 4]) answers.push(await chain(uncopied, holder));
for (const end of ends.reverse()) await end();
process.stdout.write(`${JSON.stringify(answers)}\n`);
