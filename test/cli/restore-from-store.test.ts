import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { parseBlobId } from '../../src/core/ids.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { unprivileged } from '../helpers/unprivileged.js';
import { hostOf } from '../membership/cast.js';
import { BareHouse, type BareSource } from './bare-house.js';
import { cluster, type Ended, recordsOf } from './cli-fixture.js';

/** Enough for several parcels, most of them in folders that have more than one. */
const FILES = 240;

function fill(source: BareSource, name = 'photo'): void {
  const files = Array.from({ length: FILES }, (_, n) => [`${n % 4}/${name} ${n}`, `${name} ${n}`.repeat((n % 20) + 1)]);
  source.write(Object.fromEntries(files));
}

async function aHouse(t: ExecutionContext): Promise<{ readonly house: BareHouse; readonly source: BareSource }> {
  const house = new BareHouse(t);
  const source = house.source();
  fill(source);
  await source.take();
  return { house, source };
}

/** The file of a content in a store. */
const blobFile = (store: string, content: string | Buffer): string => {
  const blob = parseBlobId(hashHex(Buffer.from(content)));
  return `${store}/.blobs/${blob.slice(0, 2)}/${blob}`;
};

const objectFile = (store: string, id: string): string => `${store}/.catalog/objects/${id.slice(0, 2)}/${id}`;

/** Without a state folder: the fixture's environment has none. */
const restore = (...args: readonly string[]): Promise<Ended> => cluster(['restore', ...args]);

const lastRecord = ({ out }: Ended): Record<string, unknown> | undefined => recordsOf(out).at(-1);

test.serial('two disks that each have half of the parcels give all of them back', async t => {
  const { house, source } = await aHouse(t);
  const even = await house.disk({ name: 'even', holds: ({ ordinal }) => ordinal % 2 === 0 });
  const odd = await house.disk({ name: 'odd', holds: ({ ordinal }) => ordinal % 2 === 1 });
  const all = await restore('--from-store', even, odd, '--target', house.path('out'), '--verify', '--json');
  t.deepEqual([all.code, all.err], [0, '']);
  t.like(lastRecord(all), { message_type: 'restore', source: 'photos', restored: FILES, failed: 0, not_set: 0 });
  t.true(Number(lastRecord(all)?.verified) >= FILES);
  t.deepEqual(compareTrees(source.root, house.path('out')), []);
});

test.serial('one of the two disks gives what it has and names the rest, and the other disk completes it', async t => {
  const { house, source } = await aHouse(t);
  const odd = await house.disk({ name: 'odd', holds: ({ ordinal }) => ordinal % 2 === 1 });
  const all = await house.disk({ name: 'all' });
  const target = house.path('out');
  const dry = await restore('--from-store', odd, '--target', target, '--dry-run');
  t.is(dry.code, 3);
  t.false(existsSync(target));
  const half = await restore('--from-store', odd, '--target', target);
  t.is(half.code, 3);
  t.regex(half.err, /no snapshot of photos is whole on these disks; the newest is taken/);
  t.regex(
    half.err,
    /\bsnapshot [0-9a-f]{8} is not whole: these disks lack \d+ parcels \(.*\) with the names of its files/,
  );
  t.regex(half.err, /also names the stores of mini \(\/srv\/one, \/srv\/two, \/srv\/three\)/);
  t.regex(
    half.err,
    /not restored: after the beginning: \d+ parcels? \(.*\) before .*, of which these disks have not even/,
  );
  t.regex(half.err, /^mode and time not set: the folder itself[^:\n]*: the entry of this folder cannot be read;/m);
  t.regex(half.err, /With more of the stores, run it again as photos@[0-9a-f]{8}/);
  t.is(statSync(target).mode & 0o777, 0o700, 'nobody knows whom it was open to');
  const there = readdirSync(target, { recursive: true, encoding: 'utf8' }).filter(name => /\/photo/.test(name));
  t.true(there.length > 0 && there.length < FILES);
  for (const name of there) t.deepEqual(readFileSync(`${target}/${name}`), readFileSync(`${source.root}/${name}`));

  const rest = await restore(
    `photos@${source.listed[0]?.id.slice(0, 8)}`,
    '--from-store',
    all,
    '--target',
    target,
    '--json',
  );
  t.deepEqual([rest.code, rest.err], [0, '']);
  t.like(lastRecord(rest), { kept: there.length, restored: FILES - there.length });
  t.deepEqual(compareTrees(source.root, target), []);
});

test.serial('disks that are read one after the other also give all back, except the times of folders', async t => {
  const { house, source } = await aHouse(t);
  const even = await house.disk({ name: 'even', holds: ({ ordinal }) => ordinal % 2 === 0 });
  const odd = await house.disk({ name: 'odd', holds: ({ ordinal }) => ordinal % 2 === 1 });
  const target = house.path('out');
  for (const disk of [odd, even]) t.is((await restore('--from-store', disk, '--target', target)).code, 3);
  const differences = compareTrees(source.root, target, { except: ['.scatterhoard-restore'] });
  t.deepEqual(
    differences.filter(line => !/^"[0-3]?": mtime /.test(line)),
    [],
  );
});

test.serial('content that is damaged on one disk is named and taken from another', async t => {
  const { house, source } = await aHouse(t);
  const [one, two] = [await house.disk({ name: 'one' }), await house.disk({ name: 'two' })];
  const content = readFileSync(`${source.root}/1/photo 1`, 'utf8');
  writeFileSync(blobFile(one, content), content.replace('photo', 'phony'));
  writeFileSync(blobFile(two, readFileSync(`${source.root}/2/photo 2`, 'utf8')), 'short');
  const snapshot = source.listed[0]?.id ?? '';
  writeFileSync(objectFile(one, snapshot), 'no snapshot');
  writeFileSync(`${one}/.catalog/config/1`, 'no configuration');
  const { code, err } = await restore('--from-store', one, two, '--target', house.path('out'));
  t.is(code, 0, err);
  t.deepEqual(compareTrees(source.root, house.path('out')), []);
  t.true(
    err.includes(`damaged: the blob ${hashHex(Buffer.from(content))} on ${one}: its bytes have another hash`),
    err,
  );
  t.true(err.includes(`damaged: the catalog object ${snapshot} on ${one}: `), err);
  t.true(err.includes(`damaged: configuration 1 on ${one}: `), err);
  const scripted = await restore('--from-store', one, two, '--target', house.path('other'), '--json');
  t.is(scripted.code, 0, scripted.err);
  const damaged = recordsOf(scripted.out).filter(({ kind }) => kind === 'damaged');
  t.deepEqual(
    damaged.filter(({ what }) => what === `the blob ${hashHex(Buffer.from(content))}`),
    [
      {
        message_type: 'problem',
        kind: 'damaged',
        store: one,
        what: `the blob ${hashHex(Buffer.from(content))}`,
        because: 'its bytes have another hash',
      },
    ],
  );
});

test.serial('disks without markers give all back, and that is reported; SOURCE may be among the paths', async t => {
  const { house, source } = await aHouse(t);
  const [one, two] = [await house.disk({ name: 'one' }), await house.disk({ name: 'two' })];
  writeFileSync(`${one}/.scatterhoard`, '{');
  rmSync(`${two}/.scatterhoard`);
  const { code, err } = await restore('--from-store', one, two, 'photos', '--target', house.path('out'));
  t.is(code, 0, err);
  t.deepEqual(compareTrees(source.root, house.path('out')), []);
  t.true(err.includes(`damaged: the marker .scatterhoard on ${one}: it is not JSON`), err);
  t.true(err.includes(`damaged: the marker .scatterhoard on ${two}: it is missing`), err);
  t.notRegex(err, /signatures of the snapshots are not checked/, 'the configuration is believed all the same');
});

test.serial('a file that is damaged everywhere is named by its path; everything else is restored', async t => {
  const { house, source } = await aHouse(t);
  const [one, two] = [await house.disk({ name: 'one' }), await house.disk({ name: 'two' })];
  const content = readFileSync(`${source.root}/1/photo 1`, 'utf8');
  for (const path of [one, two]) writeFileSync(blobFile(path, content), content.replace('photo', 'phony'));
  writeFileSync(`${two}/.blobs/aa/nothing of ours`, '');
  const target = house.path('out');
  const { code, err } = await restore('--from-store', one, two, '--target', target);
  t.is(code, 3);
  t.regex(
    err,
    /not restored: 1\/photo 1: its content is damaged on .*\/one and .*\/two, and is on no other of these disks/,
  );
  t.false(existsSync(`${target}/1/photo 1`));
  t.deepEqual(
    compareTrees(source.root, target, { except: ['1/photo 1', '.scatterhoard-restore'] }).filter(
      line => !/^"1"/.test(line),
    ),
    [],
  );
});

test.serial('several sources are listed with the command to type; SOURCE may be typed among the paths', async t => {
  const { house, source } = await aHouse(t);
  const music = house.source('music');
  fill(music, 'song');
  await music.take();
  const disk = await house.disk({ name: 'a disk' });
  const which = await restore('--from-store', disk, '--target', house.path('out'));
  t.is(which.code, 2);
  t.regex(
    which.out,
    /^source\torigin\tnewest\ttime\tfiles\tsize\tsnapshots\nmusic\timac\t[0-9a-f]{8}\t2026-05-01 12:00:00\t240\t.*\t1\nphotos\timac/,
  );
  t.regex(
    which.err,
    /2 sources\. Say which, before --from-store: cluster restore music --from-store '.*\/a disk' --target DIR/,
  );
  const json = await restore('--from-store', disk, '--target', house.path('out'), '--json');
  t.is(json.code, 2);
  t.like(recordsOf(json.out)[1], { message_type: 'source', source: 'photos', origin: 'imac', snapshots: 1 });
  t.like(recordsOf(json.err)[0], { message_type: 'error', code: 'SOURCE_NEEDED' });
  t.false(existsSync(house.path('out')));

  t.is((await restore('--from-store', disk, 'imac/music', '--target', house.path('music'))).code, 0);
  t.deepEqual(compareTrees(music.root, house.path('music')), []);
  const host = hostOf(house.imac);
  t.is((await restore(`${host.slice(0, 6)}/photos`, '--from-store', disk, '--target', house.path('photos'))).code, 0);
  t.deepEqual(compareTrees(source.root, house.path('photos')), []);
  const unknown = await restore('--from-store', disk, 'films', '--target', house.path('out'));
  t.is(unknown.code, 2);
  t.regex(unknown.err, /no source "films"; there are: music, photos\. films is not a store either/);
});

test.serial('latest is the newest snapshot that is whole here, and a newer one is named', async t => {
  const { house, source } = await aHouse(t);
  const old = source.listed[0];
  const disk = await house.disk({ name: 'old' });
  const first = readFileSync(`${source.root}/0/photo 0`, 'utf8');
  source.write({ '0/photo 0': 'edited', 'new': 'new' });
  const newer = await source.take();
  // It has the new head and not one of the new parcels.
  const late = await house.disk({ name: 'late', holds: (_, snapshot) => snapshot !== newer.id });
  const latest = await restore('--from-store', late, '--target', house.path('latest'), '--json');
  t.is(latest.code, 0);
  t.regex(
    latest.err,
    new RegExp(
      `a newer snapshot ${newer.id.slice(0, 8)} of 2026-05-01 12:01:00 is known, but not whole: these disks lack`,
    ),
  );
  t.like(lastRecord(latest), { snapshot: old?.id });
  t.is(readFileSync(`${house.path('latest')}/0/photo 0`, 'utf8'), first);

  const byId = await restore(
    `photos@${newer.id.slice(0, 8)}`,
    '--from-store',
    late,
    disk,
    '--target',
    house.path('id'),
  );
  t.is(byId.code, 3);
  t.regex(byId.err, /not restored: after /);
  const byTime = await restore(
    'photos@2026-05-01T12:00Z',
    '--from-store',
    late,
    '--target',
    house.path('time'),
    '--json',
  );
  t.like(lastRecord(byTime), { snapshot: old?.id });
  const unknown = await restore('photos@00000000', '--from-store', late, '--target', house.path('none'));
  t.is(unknown.code, 2);
  t.regex(unknown.err, /no snapshot 00000000 on these stores; there are 2, the newest is /);
  t.is((await restore('photos@2025-01-01', '--from-store', late, '--target', house.path('none'))).code, 2);
});

test.serial('a snapshot that its origin has unlisted is shown, and can be restored by its id', async t => {
  const { house, source } = await aHouse(t);
  const [old] = source.listed;
  const before = readFileSync(`${source.root}/0/photo 0`, 'utf8');
  source.write({ '0/photo 0': 'encrypted by somebody' });
  await source.take();
  const disk = await house.disk({ name: 'disk', unlisted: 1 });
  const unlisted = await restore(`photos@${old?.id.slice(0, 8)}`, '--from-store', disk, '--target', house.path('out'));
  t.is(unlisted.code, 0, unlisted.err);
  t.is(readFileSync(`${house.path('out')}/0/photo 0`, 'utf8'), before);
  const snapshots = await cluster(['snapshots', '--from-store', disk]);
  t.regex(snapshots.out, /\n.*\theld, whole\n.*\twhole\n$/);
});

test.serial('snapshots and ls show what is on the disks before anything is restored', async t => {
  const { house, source } = await aHouse(t);
  const old = source.listed[0];
  source.write({ new: 'new' });
  const newer = await source.take();
  const late = await house.disk({ name: 'late', holds: (_, snapshot) => snapshot !== newer.id });
  const snapshots = await cluster(['snapshots', '--from-store', late, '--json']);
  t.is(snapshots.code, 0, snapshots.err);
  t.deepEqual(
    recordsOf(snapshots.out).map(({ message_type: type, id, whole, files }) => [type, id, whole, files]),
    [
      ['snapshot', old?.id, true, FILES],
      ['snapshot', newer.id, false, FILES + 1],
    ],
  );
  const table = await cluster(['snapshots', 'photos', '--from-store', late]);
  t.regex(table.out, /photos\timac\t240\t.*\twhole\n.*\t241\t.*\tnot whole\n$/);

  const whole = await cluster(['ls', '--from-store', late, 'photos:2']);
  t.is(whole.code, 0);
  t.is(whole.out.trim().split('\n').length, 1 + FILES / 4);
  const gaps = await cluster(['ls', `photos@${newer.id}`, '--from-store', late]);
  t.is(gaps.code, 3);
  t.regex(gaps.err, /not listed: after .*: \d parcels? \(.*of which these disks have not even the names/);
  t.false(gaps.out.split('\n').includes('new'));
  t.is((await cluster(['ls'])).code, 2);
});

test.serial('a part is restored by its path; a path that is not there is refused, one that may be is not', async t => {
  const { house } = await aHouse(t);
  const disk = await house.disk({ name: 'disk' });
  const part = await restore('photos:2', '--from-store', disk, '--target', house.path('part'), '--json');
  t.like(lastRecord(part), { restored: FILES / 4, path: '2' });
  const single = await restore('photos:3/photo 7', '--from-store', disk, '--target', house.path('single'));
  t.is(single.code, 0);
  t.deepEqual(readdirSync(house.path('single')), ['photo 7']);
  const none = await restore('photos:5', '--from-store', disk, '--target', house.path('none'));
  t.is(none.code, 2);
  t.regex(none.err, /has no path "5"/);
  const empty = await house.disk({ name: 'empty', holds: () => false });
  t.is((await restore('photos:5', '--from-store', empty, '--target', house.path('none'))).code, 3);
});

test.serial('when a large file that was incomplete becomes whole, only the rest of it is read', async t => {
  const house = new BareHouse(t);
  const source = house.source();
  const large = seededBytes(70 * 1024 * 1024, 1);
  source.write({ large });
  await source.take();
  const disk = await house.disk({ name: 'disk' });
  const args = ['--from-store', disk, '--target', house.path('out')];
  writeFileSync(blobFile(disk, large), large.subarray(0, 40 * 1024 * 1024));
  t.is((await restore(...args)).code, 3);
  // What is here of it is read no more, right or not.
  writeFileSync(blobFile(disk, large), Buffer.concat([Buffer.alloc(1000), large.subarray(1000)]));
  const { code, err } = await restore(...args);
  t.deepEqual([code, err], [0, '']);
  t.true(readFileSync(house.path('out', 'large')).equals(large));
});

test.serial('heads and snapshots are verified by the keys on the disks; a lack of keys is reported', async t => {
  const { house, source } = await aHouse(t);
  const right = await house.disk({ name: 'right' });
  const bare = await house.disk({ name: 'bare', hasConfiguration: false });
  const unchecked = await restore('--from-store', bare, '--target', house.path('bare out'));
  t.is(unchecked.code, 0);
  t.regex(
    unchecked.err,
    /^no configuration can be read on these disks: the signatures of the snapshots are not checked\. Every hash is$/m,
  );
  t.deepEqual(compareTrees(source.root, house.path('bare out')), []);

  const impostor = house.impostor();
  impostor.write({ 'not of ann': 'not of ann' });
  await impostor.take();
  const forged = await house.disk({ name: 'forged' });
  const alone = await restore('--from-store', forged, '--target', house.path('out'));
  t.is(alone.code, 1);
  t.regex(alone.err, /no snapshot of photos can be read on these stores/);
  t.regex(alone.err, /damaged: the head of .*\/photos on .*\/forged: the signature is not by the origin/);
  const both = await restore('--from-store', forged, right, '--target', house.path('both'));
  t.is(both.code, 0, both.err);
  t.deepEqual(compareTrees(source.root, house.path('both')), []);
});

test.serial('without a head, or with a damaged one, every object is searched for snapshots', async t => {
  const { house, source } = await aHouse(t);
  const music = house.source('music');
  fill(music, 'song');
  await music.take();
  const damaged = await house.disk({ name: 'damaged' });
  writeFileSync(`${damaged}/.catalog/heads/${source.id.replace('/', '.')}`, 'no head');
  const { code, err } = await restore('photos', '--from-store', damaged, '--target', house.path('out'));
  t.is(code, 0);
  t.regex(err, /damaged: the head of .*\/photos on /);
  t.deepEqual(compareTrees(source.root, house.path('out')), []);

  const lost = await house.disk({ name: 'lost' });
  rmSync(`${lost}/.catalog/heads`, { recursive: true });
  t.is((await restore('music', '--from-store', lost, '--target', house.path('music'))).code, 0);
  t.deepEqual(compareTrees(music.root, house.path('music')), []);

  const one = await house.disk({ name: 'one' });
  rmSync(`${one}/.catalog/heads/${music.id.replace('/', '.')}`);
  t.is((await restore('music', '--from-store', one, '--target', house.path('from one'))).code, 0);
  t.deepEqual(compareTrees(music.root, house.path('from one')), []);
  const unnamed = await restore('--from-store', one, '--target', house.path('unnamed'), '--json');
  t.deepEqual(
    recordsOf(unnamed.out).map(({ source: name }) => name),
    ['music', 'photos'],
  );
  const listed = await cluster(['snapshots', '--from-store', one, '--json']);
  t.deepEqual(
    recordsOf(listed.out).map(({ source: name, held }) => [name, held]),
    [
      ['music', false],
      ['photos', false],
    ],
  );
  const unknown = await restore('films', '--from-store', one, '--target', house.path('unknown'));
  t.regex(unknown.err, /no source "films"; there are: music, photos/);
});

test.serial('stores that only their owner may read are reported as such to another user', async t => {
  const { house } = await aHouse(t);
  const disk = await house.disk({ name: 'disk' });
  const other = new RealCluster(t).add('other', unprivileged());
  chmodSync(`${disk}/.scatterhoard`, 0);
  const { code, err } = await other.run('restore', '--from-store', disk, '--target', house.path('out'));
  t.is(code, 2);
  t.regex(err, /the store .*\/disk cannot be read \(EACCES\): run this as root, or as the user/);
});

test.serial('a store that this user may not read is not taken for a missing one, nor for a source name', async t => {
  const { house } = await aHouse(t);
  const disk = await house.disk({ name: 'disk' });
  const { by = [] } = unprivileged();
  chmodSync(house.folder, 0o755);
  chmodSync(disk, 0);
  // The last is a folder that nothing can be found in: what could be a name is one.
  mkdirSync(house.path('closed'));
  for (const [folder, ...words] of [
    ['.', disk],
    ['.', 'disk'],
    ['.', 'photos', 'disk'],
    ['closed', 'photos', disk],
  ]) {
    const inFolder = ['sh', '-c', 'cd "$0" && { test -e disk || chmod 0 .; } && exec "$@"', house.path(folder ?? '')];
    const { code, err } = await cluster(['ls', '--from-store', ...words], { by: [...inFolder, ...by] });
    t.is(code, 2);
    t.regex(err, /^cluster: the store (.*\/)?disk cannot be read \(EACCES\): run this as root, or as the user/);
  }
});

test.serial('a folder that is no store, stores of several clusters and a target in a store are refused', async t => {
  const { house } = await aHouse(t);
  const disk = await house.disk({ name: 'disk' });
  const target = house.path('out');
  const refused = async (message: RegExp, ...args: readonly string[]): Promise<void> => {
    const { code, err, out } = await restore(...args);
    t.deepEqual([code, out], [2, ''], err);
    t.regex(err, message);
    t.false(existsSync(target));
  };
  await refused(
    /out is not a store: there is no such folder; is its disk mounted\?/,
    '--from-store',
    target,
    '--target',
    target,
  );
  await refused(
    /is not a store: no marker .scatterhoard there/,
    '--from-store',
    disk,
    house.folder,
    '--target',
    target,
  );
  await refused(
    /photos is not a store: name the folders that have a \.scatterhoard in them/,
    '--from-store',
    'photos',
    '--target',
    target,
  );
  await refused(/say which source/, '--target', target);

  const foreign = new BareHouse(t);
  foreign.source().write({ file: 'of others' });
  await foreign.sources[0]?.take();
  const other = await foreign.disk({ name: 'other' });
  const clusters = new RegExp(
    `belong to several clusters: .*/disk belongs to ${house.configuration.cluster}, .*/other belongs to ${foreign.configuration.cluster}\\. Nothing was written`,
  );
  await refused(clusters, '--from-store', disk, other, '--target', target);

  await refused(
    /lies in the store .*\/disk, and a restore never writes to a store/,
    '--from-store',
    disk,
    '--target',
    `${disk}/out`,
  );
  symlinkSync(disk, house.path('link'));
  await refused(/lies in the store/, '--from-store', disk, '--target', house.path('link', 'a', 'b'));
  await refused(/holds the store/, '--from-store', disk, '--target', house.folder, '--overwrite');
  await house.disk({ name: 'none', snapshots: 0 });
  mkdirSync(house.path('mine'));
  writeFileSync(house.path('mine', 'file'), 'mine');
  await refused(/is not empty: it holds file/, '--from-store', disk, '--target', house.path('mine'));
});

test.serial('stores without any snapshot say so', async t => {
  const house = new BareHouse(t);
  const empty = await house.disk({ name: 'empty' });
  const nothing = await restore('--from-store', empty, '--target', house.path('out'));
  t.is(nothing.code, 1);
  t.regex(nothing.err, /no snapshot of any source can be found on .*\/empty\. Nothing was written/);
});
