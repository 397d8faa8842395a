import { existsSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { encodeHead, HEAD_SNAPSHOTS_MAX, headHash, verifyHead } from '../../src/catalog/head.js';
import { BadSignature } from '../../src/catalog/sealed-object.js';
import type { SnapshotId } from '../../src/catalog/snapshot.js';
import {
  type JudgedHead,
  type JudgeHead,
  judgeBy,
  type KnownHead,
  lookAtOwnHead,
  type SnapshotToList,
  SourceHistory,
} from '../../src/catalog/source-history.js';
import { sourceIdOf, splitSourceId } from '../../src/core/ids.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';
import { aSource } from './scratch-source.js';

const { publicKey, seed } = generateKeyPair();
const signer = signerFromSeed(seed);
const otherSource = sourceIdOf(splitSourceId(aSource).origin, 'docs');
const snapshot = (number: number, complete = true): SnapshotToList => ({
  id: number.toString(16).padStart(64, '0') as SnapshotId,
  timeMs: number * 1000,
  complete,
});

function aFolder(t: ExecutionContext): string {
  return join(temporaryFolder(t), 'heads');
}

const open = (folder: string): Promise<SourceHistory> => SourceHistory.open({ folder, signer });

test('heads rise by one, name the one before, and are there again after a restart', async t => {
  const folder = aFolder(t);
  const history = await open(folder);
  t.is(history.head(aSource), undefined);
  const first = await history.publish(aSource, { snapshots: [snapshot(2), snapshot(1, false)] });
  t.deepEqual(first.head.snapshots, [
    { ...snapshot(1, false), firstSeq: 1 },
    { ...snapshot(2), firstSeq: 1 },
  ]);
  const second = await history.publish(aSource, { snapshots: [snapshot(2), snapshot(3)] });
  t.like(second.head, { seq: 2, previous: first.hash });
  t.deepEqual(
    second.head.snapshots.map(({ firstSeq }) => firstSeq),
    [1, 2],
  );
  t.deepEqual(verifyHead(second.sealed, publicKey), second.head);

  const again = await open(folder);
  t.is(again.head(aSource)?.hash, second.hash);
  t.is((await again.publish(aSource, { snapshots: [] })).head.seq, 3);
});

test('what is published is on disk before it is returned, and calls at once get one seq each', async t => {
  const folder = aFolder(t);
  const history = await open(folder);
  const published = await Promise.all(
    [1, 2, 3, 4].map(number => history.publish(aSource, { snapshots: [snapshot(number)] })),
  );
  t.deepEqual(
    published.map(({ head }) => head.seq),
    [1, 2, 3, 4],
  );
  t.is(String(published[3]?.hash), headHash(readFileSync(join(folder, 'photos.head'))));
});

test('a higher head that a peer remembers is adopted, and the next one goes on from it', async t => {
  const folder = aFolder(t);
  const history = await open(folder);
  await history.publish(aSource, { snapshots: [snapshot(1), snapshot(9)] });
  const remembered = encodeHead(
    {
      source: aSource,
      seq: 7,
      previous: undefined,
      snapshots: [
        { ...snapshot(1), firstSeq: 1 },
        { ...snapshot(5), firstSeq: 6 },
      ],
    },
    signer,
  );
  const adoption = await history.adopt(aSource, remembered, () => []);
  t.deepEqual(adoption, { kind: 'adopted', unlisted: [{ ...snapshot(9), firstSeq: 1 }] });
  t.is((await open(folder)).head(aSource)?.hash, headHash(remembered));
  const next = await history.publish(aSource, { snapshots: [snapshot(1), snapshot(5), snapshot(10)] });
  t.like(next.head, { seq: 8, previous: headHash(remembered) });
  t.deepEqual(
    next.head.snapshots.map(({ firstSeq }) => firstSeq),
    [1, 6, 8],
  );
});

test('what ours lists and a later head does not is listed again in the one write by which that is taken', async t => {
  const folder = aFolder(t);
  const history = await open(folder);
  await history.publish(aSource, { snapshots: [snapshot(1), snapshot(9)] });
  const later = { source: aSource, seq: 7, previous: undefined, snapshots: [{ ...snapshot(1), firstSeq: 1 }] };
  const remembered = encodeHead(later, signer);
  const changed: (string | null)[] = [];
  const watched = watch(folder, (_, name) => void changed.push(name));
  t.teardown(() => watched.close());
  await history.adopt(aSource, remembered);
  const { head, hash } = history.head(aSource) as KnownHead;
  t.like(head, { seq: 8, previous: headHash(remembered) });
  t.deepEqual(
    head.snapshots.map(({ id, firstSeq }) => [id, firstSeq]),
    [
      [snapshot(1).id, 1],
      [snapshot(9).id, 8],
    ],
  );
  // Events come in order.
  writeFileSync(join(folder, 'end'), '');
  await until('the events have come', () => changed.includes('end'));
  t.is(changed.filter(name => name === 'photos.head').length, 1);
  t.is((await open(folder)).head(aSource)?.hash, hash);
});

test('an older head and the present one change nothing', async t => {
  const history = await open(aFolder(t));
  const first = await history.publish(aSource, { snapshots: [snapshot(1)] });
  const second = await history.publish(aSource, { snapshots: [snapshot(2)] });
  t.deepEqual(await history.adopt(aSource, first.sealed), { kind: 'older' });
  t.deepEqual(await history.adopt(aSource, second.sealed), { kind: 'known' });
  t.is(history.head(aSource)?.hash, second.hash);
});

test('two heads with one seq are answered with their union, one seq higher', async t => {
  const history = await open(aFolder(t));
  const ours = await history.publish(aSource, { snapshots: [snapshot(1), snapshot(3)] });
  const twin = encodeHead(
    {
      source: aSource,
      seq: 1,
      previous: undefined,
      snapshots: [
        { ...snapshot(1), firstSeq: 1 },
        { ...snapshot(2), firstSeq: 1 },
      ],
    },
    signer,
  );
  const adoption = await history.adopt(aSource, twin);
  t.is(adoption.kind, 'forked');
  t.is(history.head(aSource)?.head.seq, ours.head.seq + 1);
  t.deepEqual(
    history.head(aSource)?.head.snapshots.map(({ id }) => id),
    [1, 2, 3].map(number => snapshot(number).id),
  );
});

test('a head that this origin did not sign is refused, and a later call works', async t => {
  const history = await open(aFolder(t));
  const stranger = signerFromSeed(generateKeyPair().seed);
  const foreign = encodeHead({ source: aSource, seq: 99, previous: undefined, snapshots: [] }, stranger);
  await t.throwsAsync(history.adopt(aSource, foreign), { instanceOf: BadSignature });
  t.is((await history.publish(aSource, { snapshots: [] })).head.seq, 1);
});

test('a head of a machine that was this host before is gone on from while it stands, and of one that does not only the number counts', async t => {
  const folder = aFolder(t);
  const before = signerFromSeed(generateKeyPair().seed);
  const formerHead = (seq: number, id: number) =>
    encodeHead({ source: aSource, seq, previous: undefined, snapshots: [{ ...snapshot(id), firstSeq: 1 }] }, before);
  const judge: JudgeHead = sealed => {
    const { head } = judgeBy(publicKey, before.publicKey)(sealed) as JudgedHead;
    const isFormer = ((): boolean => {
      try {
        return verifyHead(sealed, before.publicKey) !== undefined;
      } catch {
        return false;
      }
    })();
    if (head.source !== aSource) return undefined;
    return { head, stands: !isFormer || head.seq <= 5 };
  };
  const openAs = () => SourceHistory.open({ folder, signer, judge });
  const history = await openAs();
  t.is((await history.adopt(aSource, formerHead(9, 8))).kind, 'older');
  t.is(history.head(aSource), undefined);
  t.is((await history.adopt(aSource, formerHead(5, 1))).kind, 'adopted');
  const [first] = (await history.publish(aSource, { snapshots: [snapshot(1), snapshot(2)] })).head.snapshots;
  t.is(history.head(aSource)?.head.seq, 10);
  t.is(first?.id, snapshot(1).id);
  t.is((await history.publish(aSource, { snapshots: [] })).head.seq, 11);
  // Nobody believes a number that is so far beyond what was heard.
  await history.adopt(aSource, formerHead(12 + 2 ** 20, 1));
  t.is((await history.publish(aSource, { snapshots: [] })).head.seq, 12);

  const file = join(folder, 'photos.head');
  writeFileSync(file, formerHead(20, 1));
  const again = await openAs();
  t.deepEqual([again.isDamaged, again.head(aSource)], [false, undefined]);
  t.is(await lookAtOwnHead(folder, aSource, judge), undefined);
  t.is((await again.publish(aSource, { snapshots: [] })).head.seq, 21);
  // What this machine has signed as another host is no damage.
  writeFileSync(file, encodeHead({ source: otherSource, seq: 3, previous: undefined, snapshots: [] }, signer));
  const other = await openAs();
  t.deepEqual([other.isDamaged, other.heads()], [false, []]);
});

test('a machine that goes on as a host begins above all that the one before can have signed, and answers what is above its own all the same, also over restarts', async t => {
  const folder = aFolder(t);
  const before = signerFromSeed(generateKeyPair().seed);
  const listed = [{ ...snapshot(1), firstSeq: 1 }];
  const formerHead = (seq: number) =>
    encodeHead({ source: aSource, seq, previous: undefined, snapshots: listed }, before);
  const judge: JudgeHead = sealed => {
    const { head } = judgeBy(publicKey, before.publicKey)(sealed) as JudgedHead;
    return { head, stands: head.seq <= 5 || head.snapshots.length !== 1 };
  };
  const openAs = () => SourceHistory.open({ folder, signer, judge, leastSeq: () => 100 });
  const seqOf = (history: SourceHistory) => history.head(aSource)?.head.seq;
  let history = await openAs();
  await history.adopt(aSource, formerHead(5));
  await history.adopt(aSource, formerHead(9));
  t.is(seqOf(history), 5, 'a list of the machine before is not signed again: there may be a later one');
  history = await openAs();
  await history.publish(aSource, { snapshots: [snapshot(1), snapshot(2)] });
  t.is(seqOf(history), 100);
  for (const [seq, then] of [
    [99, 100],
    [100, 101],
    [200, 201],
    [150, 201],
    [201 + 2 ** 20, 201],
  ] as const) {
    t.is((await history.adopt(aSource, formerHead(seq))).kind, 'older');
    t.is(seqOf(history), then);
    t.deepEqual(
      history.head(aSource)?.head.snapshots.map(({ id }) => id),
      [snapshot(1).id, snapshot(2).id],
    );
  }
  history = await openAs();
  await history.publish(aSource, { snapshots: [] });
  t.is(seqOf(history), 202);
});

test('a head lists at most 4096 snapshots', async t => {
  const history = await open(aFolder(t));
  const snapshots = Array.from({ length: HEAD_SNAPSHOTS_MAX + 1 }, (_, number) => snapshot(number + 1));
  t.is((await history.publish(aSource, { snapshots: snapshots.slice(1) })).head.snapshots.length, HEAD_SNAPSHOTS_MAX);
  await t.throwsAsync(history.publish(aSource, { snapshots }), { code: 'HEAD_FULL' });
});

test('a look gives the newest head of a source, and none where there is none, nor makes the folder', async t => {
  const folder = aFolder(t);
  t.is(await lookAtOwnHead(folder, aSource, judgeBy(publicKey)), undefined);
  t.false(existsSync(folder));
  const { hash } = await (await open(folder)).publish(aSource, { snapshots: [snapshot(1)] });
  t.is((await lookAtOwnHead(folder, aSource, judgeBy(publicKey)))?.hash, hash);
});

test('what a crash left beside a head is passed over', async t => {
  const folder = aFolder(t);
  await (await open(folder)).publish(aSource, { snapshots: [snapshot(1)] });
  writeFileSync(join(folder, 'photos.head.new-001122334455'), 'half');
  const history = await open(folder);
  t.is(history.heads().length, 1);
  t.false(history.isDamaged);
  t.deepEqual(readdirSync(folder).length, 2);
});

const damages: Readonly<Record<string, (sealed: Buffer) => Uint8Array>> = {
  'is no head': () => Buffer.from('damage'),
  // No signature's last byte is so large.
  'is not what was signed': sealed => sealed.fill(0xff, sealed.length - 1),
  'is of another source': () => encodeHead({ source: otherSource, seq: 1, previous: undefined, snapshots: [] }, signer),
};

for (const [how, damage] of Object.entries(damages))
  test(`while the file of a head ${how} nothing of its source is signed, nor is the file touched; it begins anew when that is gone`, async t => {
    const folder = aFolder(t);
    const file = join(folder, 'photos.head');
    const before = await open(folder);
    const { sealed } = await before.publish(aSource, { snapshots: [snapshot(1)] });
    await before.publish(otherSource, { snapshots: [snapshot(2)] });
    const damaged = damage(readFileSync(file));
    writeFileSync(file, damaged);

    const history = await open(folder);
    t.is(history.head(aSource), undefined);
    const refused = {
      code: 'HEAD_DAMAGED',
      message: /photos\.head is damaged \(.*all are kept.*then move the file away/,
    };
    await t.throwsAsync(history.publish(aSource, { snapshots: [snapshot(3)] }), refused);
    await t.throwsAsync(history.adopt(aSource, sealed), refused);
    await t.throwsAsync(lookAtOwnHead(folder, aSource, judgeBy(publicKey)), refused);
    t.deepEqual(readFileSync(file), Buffer.from(damaged));
    t.true(history.isDamaged);

    t.is(history.damage(otherSource), undefined);
    t.is((await history.publish(otherSource, { snapshots: [] })).head.seq, 2);

    rmSync(file);
    t.false(history.isDamaged);
    t.is((await history.adopt(aSource, sealed)).kind, 'adopted');
    t.is((await history.publish(aSource, { snapshots: [snapshot(3)] })).head.seq, 2);
  });
