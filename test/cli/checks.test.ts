import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { CHECK_NAMES, type Check, type CheckResult, failed, ok } from '../../src/cli/check.js';
import { type AdminKeyFacts, decideAdminKey, decideConfiguration, decideMember } from '../../src/cli/cluster-checks.js';
import { checkText } from '../../src/cli/doctor.js';
import { inTime, LATE } from '../../src/cli/look.js';
import {
  decideClock,
  decideHasher,
  decideNetwork,
  decideOpenFiles,
  decidePort,
  decideProgram,
  decideSystemCalls,
  OPEN_FILES_WANTED,
} from '../../src/cli/machine-checks.js';
import { decideAlarms, decideMembers } from '../../src/cli/service-checks.js';
import {
  decideMounts,
  decideSnapshot,
  decideSource,
  decideWatch,
  type SourceFacts,
} from '../../src/cli/source-checks.js';
import {
  decideHostKey,
  decideService,
  decideSocket,
  decideStateFolder,
  decideStateRoom,
  STATE_ROOM_WANTED_BYTES,
} from '../../src/cli/state-checks.js';
import {
  decideStore,
  decideStoreDisk,
  decideStoreNames,
  decideStoreRoom,
  type StoreFacts,
  type StoreLook,
} from '../../src/cli/store-checks.js';
import type { ClusterId, HostId, StoreId } from '../../src/core/ids.js';
import { statusOf } from './cli-fixture.js';

const NOW_MS = Date.UTC(2026, 6, 1, 12);
const HOUR_MS = 3_600_000;
const GB = 1_000_000_000;

/** The check has this result, and says that; a check that is not right says what to do. */
function is(t: ExecutionContext, check: Check, result: CheckResult, says: RegExp): void {
  t.is(check.result, result, check.message);
  t.regex(check.message, says);
  t.true((CHECK_NAMES as readonly string[]).includes(check.name));
}

test('the pages list every check, in the order in which they are told, and no other', t => {
  const [, after = ''] = readFileSync('deploy/COMMANDS.md', 'utf8').split('| check | looks at |');
  const listed = [...(after.split('\n\n')[0] ?? '').matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name);
  t.deepEqual(listed, [...CHECK_NAMES]);
});

test('a check stands in 80 columns without a word that is cut, with its further lines below its name', t => {
  const message = `${'a sentence about what was found, and what that means to people. '.repeat(5)}'cluster backup'`;
  const lines = checkText(failed('source-snapshot', message, 'photos'), 80).split('\n');
  t.regex(lines[0] ?? '', /^failed {3}source-snapshot {2}photos: a sentence/);
  for (const line of lines) t.true(line.length <= 80, line);
  for (const line of lines.slice(1)) t.regex(line, /^ {9}\S/);
  const words = lines.join(' ').split(/\s+/);
  for (const word of message.split(/\s+/)) t.true(words.includes(word), word);
  t.is(checkText(ok('clock', 'right\u001b[2J'), 80), 'ok       clock  right\\x1b[2J');
  t.is(checkText(failed('alarm', 'a\nok       b'), 80), 'failed   alarm  a ok       b', 'no false line');
  t.is(checkText(ok('clock', 'a clock that is right'), 2), 'ok       clock  a clock that\n         is right');
});

test('what does not answer in time is late, and what does is not', async t => {
  t.is(await inTime(new Promise(() => {}), 1), LATE);
  t.is(await inTime(Promise.resolve('found'), 60_000), 'found');
  await t.throwsAsync(inTime(Promise.reject(new Error('broken'))), { message: 'broken' });
});

test('program: an older Node.js than is asked for fails, and an untried system is a warning', t => {
  const of = (changes: object) =>
    decideProgram({
      version: '0.1.0',
      node: '20.19.0',
      nodeWanted: '>=20.19',
      platform: 'linux',
      arch: 'x64',
      release: '6.1',
      ...changes,
    });
  is(t, of({}), 'ok', /0\.1\.0.*20\.19\.0.*linux 6\.1 on x64/);
  is(t, of({ node: '22.0.0' }), 'ok', /22/);
  is(t, of({ node: '20.18.9' }), 'failed', /needs Node\.js >=20\.19.*npm ci/);
  is(t, of({ node: '18.20.0' }), 'failed', /needs/);
  is(t, of({ platform: 'win32' }), 'warning', /may not work/);
  is(t, of({ arch: 'arm' }), 'warning', /64 bits/);
});

test('hasher: WebAssembly is a warning that says why it is not native', t => {
  is(t, decideHasher({ here: 'native', ofService: undefined, wasmAsked: false }), 'ok', /native/);
  is(t, decideHasher({ here: 'native', ofService: 'native', wasmAsked: false }), 'ok', /the service.*native/);
  is(t, decideHasher({ here: 'wasm', ofService: undefined, wasmAsked: true }), 'warning', /CLUSTER_HASHER=wasm is/);
  is(t, decideHasher({ here: 'wasm', ofService: undefined, wasmAsked: false }), 'warning', /blake-hash.*npm ci/);
  is(t, decideHasher({ here: 'native', ofService: 'wasm', wasmAsked: false }), 'warning', /loads here.*start/);
  is(t, decideHasher({ here: 'wasm', ofService: 'native', wasmAsked: true }), 'ok', /the service/);
});

test('system calls: without them it says what is lost', t => {
  is(t, decideSystemCalls(undefined), 'ok', /can be made/);
  is(t, decideSystemCalls('koffi did not load'), 'warning', /koffi.*extended attributes.*npm ci/);
});

test('open files: few are a warning, and nearly all in use a failure', t => {
  is(t, decideOpenFiles({ max: OPEN_FILES_WANTED, used: undefined }), 'ok', /4096/);
  is(t, decideOpenFiles({ max: OPEN_FILES_WANTED - 1, used: undefined }), 'warning', /LimitNOFILE/);
  is(t, decideOpenFiles({ max: 65_536, used: 60 }), 'ok', /60 files open/);
  is(t, decideOpenFiles({ max: 10_000, used: 8_000 }), 'ok', /8000/);
  is(t, decideOpenFiles({ max: 10_000, used: 8_001 }), 'failed', /8001 files open, of 10000.*raise/);
});

test('clock: it is behind when the program was built later, or something here is of a later time', t => {
  const of = (changes: object) =>
    decideClock({ nowMs: NOW_MS, builtMs: NOW_MS - HOUR_MS, signedMs: undefined, snapshots: [], ...changes });
  is(t, of({}), 'ok', /2026-07-01/);
  is(t, of({ builtMs: undefined, signedMs: NOW_MS + HOUR_MS }), 'ok', /2026/);
  is(t, of({ builtMs: NOW_MS + HOUR_MS + 1 }), 'failed', /built at.*set the clock/);
  is(t, of({ signedMs: NOW_MS + HOUR_MS + 1 }), 'warning', /signed at/);
  const snapshots = [
    { source: 'music', timeMs: NOW_MS - 1 },
    { source: 'photos', timeMs: NOW_MS + HOUR_MS + 1 },
  ];
  is(t, of({ snapshots }), 'failed', /newest snapshot of photos.*forget photos --future/);
  is(t, of({ snapshots: snapshots.slice(0, 1) }), 'ok', /2026/);
});

test('network: no address, or none by which mDNS goes out, is a warning', t => {
  const addresses = [1, 2, 3, 4].map(n => ({ address: `192.0.2.${n}`, on: 'eth0' }));
  is(t, decideNetwork({ addresses, multicast: ['eth0'] }), 'ok', /192\.0\.2\.3 \(eth0\), 1 more$/);
  is(t, decideNetwork({ addresses: addresses.slice(0, 1), multicast: undefined }), 'ok', /192\.0\.2\.1 \(eth0\)$/);
  is(t, decideNetwork({ addresses: [], multicast: [] }), 'warning', /no address/);
  is(t, decideNetwork({ addresses, multicast: ['lo', 'eth1'] }), 'warning', /mDNS.*--peer/);
});

test('port: what the service listens on, or who is in its place', t => {
  is(
    t,
    decidePort({ listening: ['/ip4/192.0.2.1/tcp/4747/p2p/12D3Ko'], isTaken: false, mayBeService: true }),
    'ok',
    /on \/ip4\/192\.0\.2\.1\/tcp\/4747$/,
  );
  is(t, decidePort({ listening: [], isTaken: false, mayBeService: true }), 'failed', /nowhere/);
  is(t, decidePort({ listening: undefined, isTaken: false, mayBeService: false }), 'ok', /4747 is free/);
  is(
    t,
    decidePort({ listening: undefined, isTaken: true, mayBeService: false }),
    'warning',
    /another program.*--listen/,
  );
  is(t, decidePort({ listening: undefined, isTaken: true, mayBeService: true }), 'ok', /by the service of this host/);
});

test('state folder: others may not write there, nor own what is in it, and should not look', t => {
  const of = (mode: number, changes: object = {}) =>
    decideStateFolder({
      path: '/var/lib/scatterhoard',
      saidBy: 'nobody',
      owner: 'scatterhoard',
      mode,
      foreign: [],
      ...changes,
    });
  is(t, of(0o40700), 'ok', /first of the usual places.*of scatterhoard/);
  is(t, of(0o40700, { saidBy: '--state' }), 'ok', /as --state says/);
  is(t, of(0o40755), 'warning', /mode 755.*chmod 700/);
  is(t, of(0o40770), 'failed', /write.*mode 770.*chmod 700/);
  const foreign = [{ name: 'config', owner: 'root' }];
  is(
    t,
    of(0o40700, { foreign }),
    'failed',
    /config in it belongs to root.*chown -R scatterhoard \/var\/lib\/scatterhoard\/config$/,
  );
});

test('state room: little of it is a warning, and none a failure, inodes too', t => {
  is(t, decideStateRoom({ freeBytes: STATE_ROOM_WANTED_BYTES, freeFiles: undefined }), 'ok', /500 MB/);
  is(t, decideStateRoom({ freeBytes: STATE_ROOM_WANTED_BYTES - 1, freeFiles: 9 }), 'warning', /Make room/);
  is(t, decideStateRoom({ freeBytes: 0, freeFiles: 9 }), 'failed', /disk is full\. Make room/);
  is(t, decideStateRoom({ freeBytes: 9 * GB, freeFiles: 0 }), 'failed', /inodes/);
});

test('socket: a path is refused that sockets cut', t => {
  is(t, decideSocket(`/${'x'.repeat(99)}`), 'ok', /100 of 100/);
  is(t, decideSocket(`/${'x'.repeat(100)}`), 'failed', /101 bytes.*shorter/);
});

test('service: it runs, starts, hangs, is closed to this user, or does not run, which is a failure', t => {
  const none = (code: string) => ({ kind: 'none', code, message: `why ${code}` }) as const;
  is(t, decideService({ answer: { kind: 'status', status: statusOf() }, pid: 7 }), 'ok', /process 7/);
  is(t, decideService({ answer: { kind: 'late' }, pid: 7 }), 'failed', /has not answered for 15 s/);
  is(t, decideService({ answer: none('SERVICE_NOT_RUNNING'), pid: undefined }), 'failed', /^why .*nothing here/);
  is(t, decideService({ answer: none('SERVICE_NOT_RUNNING'), pid: 7 }), 'warning', /^why/);
  is(t, decideService({ answer: none('CONTROL_FORBIDDEN'), pid: 7 }), 'warning', /^why/);
  is(t, decideService({ answer: none('CONTROL_PROTOCOL'), pid: 7 }), 'failed', /^why/);
});

test('host key: it is there, whole, and closed to others', t => {
  const of = (mode: number | undefined, damage?: string, isClosed = false) =>
    decideHostKey({ path: '/s/identity.key', mode, damage, isClosed });
  is(t, of(0o100600), 'ok', /whole/);
  is(t, of(0o100640), 'failed', /mode 640.*chmod 600 \/s\/identity\.key.*revoke/);
  is(t, of(0o100604), 'failed', /mode 604/);
  is(t, of(undefined), 'failed', /not there.*copy/);
  is(t, of(0o100600, 'it is damaged'), 'failed', /damaged/);
  is(t, of(0o100600, undefined, true), 'warning', /may not read .*identity\.key.*be root/);
  is(t, of(0o100640, undefined, true), 'failed', /mode 640/);
});

test('configuration: a fork and what wants a person are warnings, damage is a failure', t => {
  const of = (changes: object) =>
    decideConfiguration({
      kind: 'read',
      cluster: 'home',
      version: 6,
      signedMs: NOW_MS,
      lost: 0,
      concerns: [],
      ...changes,
    });
  is(t, of({}), 'ok', /version 6 of the cluster home/);
  is(t, of({ lost: 1 }), 'warning', /forked.*config\/lost/);
  is(t, of({ lost: 1, concerns: ['it was signed twice'] }), 'warning', /signed twice/);
  is(t, decideConfiguration({ kind: 'damaged', because: 'current is not whole' }), 'failed', /not whole/);
});

test('member: only an active and trusted one is all right', t => {
  const of = (standing: Parameters<typeof decideMember>[0]['standing'], trust: 'trusted' | 'untrusted' = 'trusted') =>
    decideMember({ name: 'imac', standing, trust });
  is(t, of('active'), 'ok', /imac/);
  is(t, of('active', 'untrusted'), 'warning', /holds no copies/);
  is(t, of('draining'), 'warning', /drain imac --undo/);
  is(t, of('provisional'), 'warning', /admin key/);
  is(t, of('revoked'), 'failed', /new state folder/);
  is(t, of('refused'), 'failed', /new invite/);
  is(t, of('unknown'), 'failed', /join/);
});

test('admin key: it is here and of use, or elsewhere, as the configuration says', t => {
  const of = (key: Partial<AdminKeyFacts['key']>, changes: Partial<AdminKeyFacts> = {}) =>
    decideAdminKey({
      key: { path: '/s/admin.key', mode: 0o100600, damage: undefined, isClosed: false, ...key },
      isAdmins: true,
      hosts: ['imac'],
      isExpected: true,
      ...changes,
    });
  is(t, of({}), 'ok', /keep a copy/);
  is(t, of({}, { isAdmins: false }), 'warning', /does not know.*imac has one/);
  is(t, of({ mode: 0o100644 }), 'failed', /mode 644.*chmod 600/);
  is(t, of({ damage: 'it is damaged' }), 'failed', /damaged/);
  is(t, of({ isClosed: true }, { isAdmins: false }), 'warning', /may not read .*admin\.key.*be root/);
  is(t, of({ mode: undefined }, { isAdmins: false, isExpected: false }), 'ok', /not here.*imac has one/);
  is(t, of({ mode: undefined }, { isAdmins: false }), 'warning', /not there.*your copy/);
});

// ── Stores ──

const CLUSTER = '22'.repeat(16) as ClusterId;
const HOST = '11'.repeat(16) as HostId;
const MARKER = {
  cluster: CLUSTER,
  host: HOST,
  store: '33'.repeat(16) as StoreId,
  epoch: { counter: 1, random: '0'.repeat(16) },
  boot: 1,
  rescan: false,
};

const lookOf = (changes: Partial<StoreLook> = {}): StoreLook => ({
  kind: 'seen',
  marker: { kind: 'found', marker: MARKER },
  write: 'yes',
  contentOf: 'scatterhoard',
  holdsState: false,
  device: 1,
  disk: { freeBytes: 9 * GB, totalBytes: 10 * GB, freeFiles: undefined, type: 0 },
  foldsCase: false,
  ...changes,
});

const storeOf = (seen: StoreFacts['seen'], changes: Partial<StoreFacts> = {}): Check =>
  decideStore({
    path: '/srv/hoard',
    seen,
    wasMade: true,
    cluster: CLUSTER,
    host: HOST,
    nameOf: () => 'mini',
    serviceUser: 'scatterhoard',
    isServiceUser: true,
    report: undefined,
    ...changes,
  });

test('store: the folder is there, is this host’s, and may be written in', t => {
  const absent = { kind: 'absent' } as const;
  const foreign = (changes: object) => lookOf({ marker: { kind: 'found', marker: { ...MARKER, ...changes } } });
  const without = lookOf({ marker: { kind: 'absent' } });
  is(t, storeOf(lookOf()), 'ok', /^\/srv\/hoard: it is there/);
  is(t, storeOf(absent), 'failed', /^\/srv\/hoard: there is no such folder: mount/);
  is(t, storeOf({ kind: LATE }), 'failed', /has not answered for 15 s/);
  is(t, storeOf({ kind: 'closed', because: 'EACCES' }), 'failed', /EACCES.*scatterhoard/);
  const holdsState = { holdsState: true };
  is(t, storeOf({ ...without, ...holdsState }, { wasMade: false }), 'failed', /no key may lie in a store/);
  is(t, storeOf({ ...without, ...holdsState }), 'failed', /had one: its disk is not mounted/);
  is(
    t,
    storeOf(lookOf(holdsState)),
    'warning',
    /its copies count.*move the state folder\. Leave the store in the policy/,
  );
  is(t, storeOf(lookOf({ ...holdsState, write: 'read-only' })), 'failed', /read-only/);
  is(t, storeOf(foreign({ host: '44'.repeat(16) })), 'failed', /of another host, mini: plug in/);
  is(t, storeOf(foreign({ cluster: '44'.repeat(16) })), 'failed', /another cluster, 4444/);
  is(t, storeOf(lookOf({ marker: { kind: 'unreadable', because: 'it is not JSON' } })), 'failed', /not JSON/);
  is(t, storeOf(without), 'failed', /had one: its disk is not mounted/);
  is(t, storeOf(without, { wasMade: false }), 'warning', /no store has been made there yet/);
  is(t, storeOf(without, { wasMade: undefined }), 'warning', /stores\.json/);
  is(t, storeOf(lookOf({ write: 'read-only' })), 'failed', /read-only.*kernel/);
  is(t, storeOf(lookOf({ write: 'no' })), 'failed', /may not write there: chown/);
  is(t, storeOf(lookOf({ write: 'no' }), { isServiceUser: false }), 'ok', /there/);
  is(t, storeOf(lookOf({ contentOf: 'root' })), 'failed', /belongs to root.*chown -R scatterhoard/);
  const spaced = storeOf(lookOf({ contentOf: 'root' }), { path: "/media/ann's disk" });
  is(t, spaced, 'failed', /chown -R scatterhoard '\/media\/ann'\\''s disk'$/);
  is(t, storeOf(lookOf({ contentOf: undefined })), 'ok', /there/);
});

test('store: the service that runs has the last word', t => {
  const report = { mounted: false, because: 'EROFS', usedBytes: 0 };
  is(t, storeOf(lookOf(), { report: { mounted: true, usedBytes: 0 } }), 'ok', /in use/);
  is(t, storeOf(lookOf(), { report }), 'failed', /does not use it: EROFS.*ReadWritePaths/);
});

test('store disk: what it shares its file system with is told; another store there is a warning', t => {
  const of = (changes: object) =>
    decideStoreDisk({ path: '/srv/hoard', device: 1, stateDevice: 2, sources: [], others: [], ...changes });
  const sources = [
    { name: 'photos', device: 1 },
    { name: 'music', device: 2 },
  ];
  is(t, of({ sources: sources.slice(1) }), 'ok', /to itself/);
  is(t, of({ sources, stateDevice: 1 }), 'ok', /with the state folder and the source photos: if that disk dies/);
  is(t, of({ others: [{ path: '/srv/two', device: 2 }] }), 'ok', /to itself/);
  is(t, of({ others: [{ path: '/srv/two', device: 1 }] }), 'warning', /with \/srv\/two: they share/);
});

test('store room: a limit or a reserve that the disk does not have is a warning', t => {
  const disk = (freeBytes: number, freeFiles?: number) => ({ freeBytes, totalBytes: 100 * GB, freeFiles });
  const of = (lends: Parameters<typeof decideStoreRoom>[0]['lends'], free: number, usedBytes?: number) =>
    decideStoreRoom({ path: '/srv/hoard', lends, disk: disk(free), usedBytes });
  const limit = { kind: 'limit', bytes: 50 * GB } as const;
  is(t, of(limit, 40 * GB, 10 * GB), 'ok', /10 GB in use, a limit of 50 GB, 40 GB free/);
  is(t, of(limit, 39 * GB, 10 * GB), 'warning', /only 39 GB are free/);
  is(t, of(limit, 0, 50 * GB), 'ok', /50 GB in use/);
  is(t, of(limit, 1 * GB), 'ok', /1 GB free/);
  is(t, of(limit, 0), 'warning', /full/);
  is(t, of({ kind: 'limit', bytes: 101 * GB }, 90 * GB), 'warning', /limit is 101 GB, and its disk has 100 GB/);
  is(t, of({ kind: 'reserve', bytes: 20 * GB }, 20 * GB + 1), 'ok', /20 GB are to stay free/);
  is(t, of({ kind: 'reserve', bytes: 20 * GB }, 20 * GB), 'warning', /takes no more/);
  is(t, of({ kind: 'reserve-share', percent: 10 }, 10 * GB), 'warning', /reserve of 10 GB/);
  is(t, of({ kind: 'reserve-share', percent: 10 }, 11 * GB), 'ok', /10 GB/);
  is(t, decideStoreRoom({ path: '/', lends: limit, disk: disk(90 * GB, 0), usedBytes: 0 }), 'warning', /inodes/);
});

test('store names: a file system without hard links, or that folds case, is a warning', t => {
  is(t, decideStoreNames({ path: '/a', type: 0xef53, foldsCase: false }), 'ok', /as they are/);
  is(t, decideStoreNames({ path: '/a', type: 0x4d44, foldsCase: true }), 'warning', /FAT.*hard links.*\.blobs/);
  is(t, decideStoreNames({ path: '/a', type: 0x2011bab0, foldsCase: false }), 'warning', /exFAT/);
  is(t, decideStoreNames({ path: '/a', type: 0xef53, foldsCase: true }), 'warning', /same letter.*\.unplaced/);
});

// ── Sources ──

const sourceOf = (seen: SourceFacts['seen'], changes: Partial<SourceFacts> = {}): Check =>
  decideSource({ name: 'photos', path: '/home/ann', seen, files: undefined, report: undefined, ...changes });

test('source: its folder is there and is not empty where it was not', t => {
  const seen = { kind: 'seen', isEmpty: false, device: 1, mounts: [] } as const;
  const empty = { ...seen, isEmpty: true };
  const closed = { kind: 'closed', because: 'EACCES' } as const;
  is(t, sourceOf(seen), 'ok', /^photos: \/home\/ann is there/);
  is(t, sourceOf({ kind: 'absent' }), 'failed', /no folder \/home\/ann: mount/);
  is(t, sourceOf({ kind: 'no-folder' }), 'failed', /not a folder/);
  is(t, sourceOf({ kind: LATE }), 'failed', /has not answered/);
  is(t, sourceOf(closed), 'warning', /closed to this user \(EACCES\).*the unit/);
  is(t, sourceOf({ ...closed, because: 'EIO' }), 'failed', /cannot be read \(EIO\): look at its disk/);
  is(t, sourceOf(closed, { report: {} }), 'ok', /the service reads it/);
  is(t, sourceOf(closed, { report: { missing: 'it hangs' } }), 'failed', /it hangs/);
  is(t, sourceOf(seen, { report: { missing: 'it is on another disk' } }), 'failed', /another disk/);
  is(t, sourceOf(empty), 'warning', /right folder/);
  is(t, sourceOf(empty, { files: 0 }), 'warning', /right folder/);
  is(t, sourceOf(empty, { files: 1 }), 'failed', /has 1 file: .*--accept-changes/);
});

test('source mounts: other file systems below it are named, a few of them', t => {
  is(t, decideMounts({ name: 'photos', mounts: [] }), 'ok', /no other/);
  const mounts = ['/a', '/b', '/c', '/d'];
  is(
    t,
    decideMounts({ name: 'photos', mounts: mounts.slice(0, 1) }),
    'warning',
    /backed up: \/a\. 'crossMounts: true'/,
  );
  is(t, decideMounts({ name: 'photos', mounts }), 'warning', /\/a, \/b, \/c and 1 more\. /);
});

test('source snapshot: one that is older than two of its times fails', t => {
  const of = (newest: Parameters<typeof decideSnapshot>[0]['newest']) =>
    decideSnapshot({ name: 'photos', newest, schedule: 'every 1h', nowMs: NOW_MS });
  const timeMs = NOW_MS - 2 * HOUR_MS;
  is(t, of({ kind: 'known', timeMs, freshUntilMs: NOW_MS }), 'ok', /2 h old \(every 1h\)/);
  is(t, of({ kind: 'known', timeMs, freshUntilMs: NOW_MS - 1 }), 'failed', /two of its times.*cluster backup photos/);
  is(t, of({ kind: 'none' }), 'warning', /no snapshot of it yet/);
  is(t, of({ kind: 'damaged', because: 'photos.head is damaged' }), 'failed', /damaged/);
});

test('source watch: nearly as many folders as the kernel lets a user watch are a warning', t => {
  const of = (used: number | undefined) => decideWatch({ names: ['photos', 'music'], max: 1_000, used });
  is(t, of(undefined), 'ok', /1000 folders.*photos, music takes one/);
  is(t, of(900), 'ok', /900 folders/);
  is(t, of(901), 'warning', /901 folders.*sysctl/);
});

// ── What the service says ──

test('members: those that are not heard of are named; a host that hears nobody has failed', t => {
  const member = (name: string, changes: object = {}) => ({
    name,
    state: 'active' as const,
    seenMs: NOW_MS - 2_000,
    roaming: false,
    ...changes,
  });
  const of = (...others: Parameters<typeof decideMembers>[0]['others']) => decideMembers({ others, nowMs: NOW_MS });
  const away = { state: 'dead', seenMs: NOW_MS - 3 * HOUR_MS };
  is(t, of(), 'warning', /only member.*invite/);
  is(t, of(member('mini'), member('pi')), 'ok', /all of the other 2/);
  is(t, of(member('mini'), member('pi', away)), 'warning', /pi \(dead, 3 h ago\)/);
  is(t, of(member('mini'), member('pi', { seenMs: undefined })), 'warning', /pi \(not since the start\)/);
  is(t, of(member('pi', away)), 'failed', /no copies are made/);
  is(t, of(member('pi', { ...away, roaming: true })), 'warning', /roaming/);
});

test('alarm: each that stands has failed, with its code', t => {
  const alarms = [{ code: 'MASS_CHANGE', text: 'much left', sinceMs: NOW_MS - 65_000 }];
  is(t, decideAlarms({ alarms, nowMs: NOW_MS })[0] as Check, 'failed', /^MASS_CHANGE: for 1 min: much left/);
  is(t, decideAlarms({ alarms: [], nowMs: NOW_MS })[0] as Check, 'ok', /none/);
});
