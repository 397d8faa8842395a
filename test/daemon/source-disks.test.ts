/** Source disks: which sources wait apart, and what becomes of one whose disk does not answer. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { type ScanEvent, scan } from '../../src/catalog/scan.js';
import { readSourceFile } from '../../src/catalog/source-file.js';
import { EMPTY_BLOB } from '../../src/core/hash.js';
import { parseHostId, sourceIdOf } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { SourceDisks } from '../../src/daemon/source-disks.js';
import { diskOf, setApart } from '../../src/platform/disk.js';
import { FolderAway, whyNoFolderAway } from '../helpers/hanging-disk.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';

const host = parseHostId('a1'.repeat(16));
const NAS = sourceIdOf(host, 'nas');
/** Above what a call takes on a disk that is busy with other tests. */
const PATIENCE = { callMs: 5_000, flushMs: 5_000 };
const HANGS = { code: 'DISK_HANGS' };

/** A state folder, a folder to be a source, and what looks after the disk of that. */
function aHost(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const [stateDir, nas] = [join(folder, 'state'), join(folder, 'nas')];
  for (const path of [stateDir, nas]) mkdirSync(path);
  const alarms = new Alarms({ log: pino({ level: 'silent' }), wallMs: () => 0 });
  const disks = new SourceDisks({ stateDir, host, alarms, patience: PATIENCE });
  t.teardown(() => disks.close());
  const configure = (path: string, stores: readonly string[] = []): void =>
    disks.configure(
      [{ name: 'nas', path }],
      stores.map(store => ({ path: store })),
    );
  return { stateDir, nas, alarms, disks, configure };
}

async function scanned(path: string): Promise<ScanEvent[]> {
  const events: ScanEvent[] = [];
  for await (const event of scan({ path, source: NAS, cachePath: undefined, nowMs: 0 })) events.push(event);
  return events;
}

test('a source on the disk of the state folder waits together with all else, once that is known', async t => {
  const { nas, configure } = aHost(t);
  configure(nas);
  t.not(diskOf(join(nas, 'file')), undefined);
  await until('its disk is known', () => diskOf(join(nas, 'file')) === undefined);
});

test('one above the state folder never waits apart, nor one that is a store or lies in one', t => {
  const { stateDir, nas, configure } = aHost(t);
  configure(dirname(stateDir));
  t.is(diskOf(join(stateDir, 'lock')), undefined);
  configure('/');
  t.is(diskOf(join(stateDir, 'lock')), undefined);
  const store = setApart(nas);
  configure(nas, [nas]);
  configure(join(nas, 'below'), [nas]);
  t.is(diskOf(join(nas, 'below')), store);
});

test('a source on a server that is away holds up no other, is missing after a while, and is read when it is back', async t => {
  const why = whyNoFolderAway();
  if (why !== undefined) return skip(t, why);
  const { stateDir, nas, alarms, disks, configure } = aHost(t);
  writeFileSync(join(nas, 'file'), 'content');
  const here = join(stateDir, 'here');
  mkdirSync(here);
  writeFileSync(join(here, 'file'), 'content');
  const server = new FolderAway(t, nas);
  server.goAway();
  configure(nas);
  const entry = { path: Buffer.from('file'), size: 7, blob: EMPTY_BLOB.replace(/^./, 'f'), link: undefined } as never;
  const live = (root: string) => readSourceFile({ root, source: NAS, entry, cache: undefined });
  const reading = t.throwsAsync(live(nas), HANGS);
  const scanning = t.throwsAsync(scanned(nas), HANGS);
  t.is(await live(here), 'gone', 'it has other bytes');
  t.true((await scanned(here)).some(({ kind }) => kind === 'items'));
  t.is(disks.hanging(NAS), undefined);
  await Promise.all([reading, scanning]);
  t.regex(disks.hanging(NAS) ?? '', /does not answer/);
  t.like(alarms.list(), [{ code: 'SOURCE_MISSING' }]);
  await t.throwsAsync(scanned(nas), HANGS, 'no thread more waits there');
  // As runs do.
  alarms.clear('SOURCE_MISSING', NAS);
  alarms.raise('SOURCE_MISSING', NAS, 'the run found nothing there');
  t.is(alarms.list().length, 2);
  server.comeBack();
  await until('it answers', () => disks.hanging(NAS) === undefined);
  t.like(alarms.list(), [{ text: 'the run found nothing there' }]);
  t.true((await scanned(nas)).some(({ kind }) => kind === 'items'));
});

test('what waits on the disk of a source that is moved or gone from the policy meanwhile is given up all the same', async t => {
  const why = whyNoFolderAway();
  if (why !== undefined) return skip(t, why);
  const { stateDir, nas, alarms, configure } = aHost(t);
  writeFileSync(join(nas, 'file'), 'content');
  new FolderAway(t, nas).goAway();
  configure(nas);
  const scanning = t.throwsAsync(scanned(nas), HANGS);
  configure(join(stateDir, 'elsewhere'));
  await scanning;
  t.deepEqual(alarms.list(), []);
});

test('that a source is moved does not end the alarm of a run that found nothing there', t => {
  const { stateDir, nas, alarms, configure } = aHost(t);
  configure(nas);
  alarms.raise('SOURCE_MISSING', NAS, 'the run found nothing there');
  configure(join(stateDir, 'elsewhere'));
  t.like(alarms.list(), [{ text: 'the run found nothing there' }]);
});

test('a scan that its reader leaves waiting hangs nowhere', async t => {
  const { nas } = aHost(t);
  for (let n = 0; n < 3_000; n += 1) writeFileSync(join(nas, `file-${n}`), '');
  const disk = setApart(nas);
  const events = scan({ path: nas, source: NAS, cachePath: undefined, nowMs: 0 });
  await events.next();
  await events.next();
  t.true(disk.isBusy);
  t.false(disk.hangs({ callMs: -1, flushMs: -1 }));
  await events.return(undefined);
  await disk.settled();
});
