import { readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { ConfigStore, hasCluster } from '../../src/membership/config-store.js';
import { type Configuration, versionFor } from '../../src/membership/configuration.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { found, hostOf, type Key, memberOf, newKey, next, revocationOf } from './cast.js';

const TRUSTED = { host: hostOf(newKey()), trust: 'trusted' } as const;
const ALL = { countMax: 1000, bytesMax: 1 << 30 };

/** A store that has the first of these versions, committed, and was offered the others in turn. */
async function storeWith(stateDir: string, versions: readonly Configuration[]): Promise<ConfigStore> {
  const [first, ...rest] = versions;
  if (first === undefined) throw new Error('no versions');
  const store = await ConfigStore.begin(stateDir, first.cluster);
  await store.accept(first.raw, TRUSTED);
  await store.commit();
  for (const { raw } of rest) await store.accept(raw, TRUSTED);
  return store;
}

function chain(root: Configuration, signer: Key, count: number): Configuration[] {
  const versions = [root];
  while (versions.length <= count) versions.push(next(versions.at(-1) ?? root, signer));
  return versions.slice(1);
}

const fileNamed = async (stateDir: string, version: number): Promise<string> => {
  const names = await readdir(join(stateDir, 'config'));
  const name = names.find(other => other.startsWith(String(version).padStart(8, '0')));
  if (name === undefined) throw new Error(`no file of version ${version}`);
  return join(stateDir, 'config', name);
};

test('what was accepted is there after a restart', async t => {
  const stateDir = temporaryFolder(t);
  const admin = newKey();
  const first = found([admin]);
  const versions = [first, ...chain(first, admin, 3)];
  await storeWith(stateDir, versions);
  const store = await ConfigStore.open(stateDir);
  t.is(store.cluster, first.cluster);
  t.is(store.current.hash, versions[3]?.hash ?? '');
  t.is(store.latestSignedMs, versions[3]?.signedMs ?? 0);
  t.deepEqual(
    (await store.from(1, ALL)).map(({ hash }) => hash),
    versions.slice(1).map(({ hash }) => hash),
  );
  t.deepEqual(await store.accept(versions[2]?.raw ?? new Uint8Array(), TRUSTED), { kind: 'known' });
});

test('a version is refused by name when it is forged, foreign, withheld, or its ground is missing', async t => {
  const admin = newKey();
  const first = found([admin], { policyText: 'cluster: home\nhosts:\n  x: {}\n' });
  const [second, third] = chain(first, admin, 2);
  if (second === undefined || third === undefined) return t.fail();
  const store = await storeWith(temporaryFolder(t), [first]);
  t.deepEqual(await store.accept(third.raw, TRUSTED), { kind: 'gap' });
  t.deepEqual(await store.accept(Uint8Array.of(0x80), TRUSTED), { kind: 'refused', because: 'malformed' });
  t.deepEqual(await store.accept(found([newKey()]).raw, TRUSTED), { kind: 'refused', because: 'other-cluster' });
  const withheld = versionFor(second, { host: hostOf(newKey()), trust: 'untrusted' });
  t.deepEqual(await store.accept(withheld, TRUSTED), { kind: 'refused', because: 'withheld' });
  t.is((await store.accept(withheld, { ...TRUSTED, trust: 'untrusted' })).kind, 'accepted');
});

test('a state folder belongs to no cluster before commit, and to one only after it', async t => {
  const stateDir = temporaryFolder(t);
  await t.throwsAsync(ConfigStore.open(stateDir), { code: 'NO_CLUSTER' });
  const first = found([newKey()]);
  const store = await ConfigStore.begin(stateDir, first.cluster);
  await store.accept(first.raw, TRUSTED);
  t.false(hasCluster(stateDir));
  await t.throwsAsync(ConfigStore.open(stateDir), { code: 'NO_CLUSTER' });
  await store.commit();
  t.true(hasCluster(stateDir));
  await t.throwsAsync(ConfigStore.begin(stateDir, first.cluster), { code: 'ALREADY_IN_CLUSTER' });
});

test('a rival that loses and that the disk refuses shuts out all the same, and is kept when it can be', async t => {
  const stateDir = temporaryFolder(t);
  const [admin, other, laptop, phone, tablet] = [newKey(), newKey(), newKey(), newKey(), newKey()];
  const guests = [laptop, phone, tablet];
  const ground = found([admin, other], { members: guests.map((key, n) => memberOf(key, `guest-${n}`)) });
  const without = (...keys: readonly Key[]) => ({ revoked: keys.map(revocationOf) });
  const winner = next(ground, admin, without(phone, tablet));
  const loser = next(ground, other, without(laptop));
  const store = await storeWith(stateDir, [ground, winner]);
  const [lost, away] = [join(stateDir, 'config/lost'), join(stateDir, 'away')];
  const isOut = () => store.standing.revoked.some(({ peer }) => peer === revocationOf(laptop).peer);
  await rename(lost, away);
  t.like(await store.hear(loser.raw, TRUSTED), { kind: 'unwritten', isNews: true });
  t.true(isOut());
  t.deepEqual([store.unwritten, store.current.hash, store.shutOut], [[2], winner.hash, []]);
  t.like(await t.throwsAsync(store.writeUnwritten(TRUSTED)), { code: 'ENOENT' });
  await rename(away, lost);
  t.true(await store.writeUnwritten(TRUSTED));
  t.true(isOut());
  t.deepEqual([store.unwritten, store.lost.length, store.shutOut.length], [[], 1, 1]);
});

test('a machine in whose place another one goes on is shut out though the disk refuses the version that says so', async t => {
  const stateDir = temporaryFolder(t);
  const [admin, old, fresh] = [newKey(), newKey(), newKey()];
  const pi = memberOf(old, 'pi');
  const ground = found([admin], { members: [memberOf(admin, 'imac'), pi] });
  const members = [memberOf(admin, 'imac'), { ...pi, peer: memberOf(fresh, 'pi').peer }];
  const replacing = next(ground, admin, { members, replaced: [{ ...revocationOf(old), invite: undefined }] });
  const store = await storeWith(stateDir, [ground]);
  const stateOfPi = () => store.standing.members.find(({ name }) => name === 'pi')?.state;
  t.is(stateOfPi(), 'active');
  await rename(join(stateDir, 'config'), join(stateDir, 'away'));
  t.like(await store.hear(replacing.raw, TRUSTED), { kind: 'unwritten' });
  t.is(stateOfPi(), 'revoked', 'nobody has its key now');
  await rename(join(stateDir, 'away'), join(stateDir, 'config'));
  t.true(await store.writeUnwritten(TRUSTED));
  t.deepEqual([store.current.hash, stateOfPi()], [replacing.hash, 'active']);
});

test('a damaged, truncated or missing file is found at the start and nothing is touched', async t => {
  const admin = newKey();
  const first = found([admin]);
  const versions = [first, ...chain(first, admin, 2)];
  const harms: readonly ((stateDir: string) => Promise<void>)[] = [
    async stateDir => truncate(await fileNamed(stateDir, 2), 100),
    async stateDir => rm(await fileNamed(stateDir, 1)),
    async stateDir => {
      const path = await fileNamed(stateDir, 3);
      const bytes = await readFile(path);
      const at = bytes.length - 3;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      await writeFile(path, bytes);
    },
    async stateDir => writeFile(await fileNamed(stateDir, 2), await readFile(await fileNamed(stateDir, 3))),
    async stateDir => truncate(join(stateDir, 'config', 'current'), 20),
    async stateDir =>
      writeFile(
        join(stateDir, 'config', 'current'),
        JSON.stringify({ cluster: 'ab'.repeat(16), version: 3, hash: versions[2]?.hash }),
      ),
  ];
  for (const harm of harms) {
    const stateDir = temporaryFolder(t);
    await storeWith(stateDir, versions);
    await harm(stateDir);
    const before = await readdir(join(stateDir, 'config'));
    await t.throwsAsync(ConfigStore.open(stateDir), {
      code: 'CONFIG_DAMAGED',
      message: /Every file was kept.*Copy this folder/,
    });
    t.deepEqual(await readdir(join(stateDir, 'config')), before);
  }
});

test('a version written but not pointed at before a crash is set aside, and can come again', async t => {
  const stateDir = temporaryFolder(t);
  const admin = newKey();
  const first = found([admin]);
  const [second] = chain(first, admin, 1);
  if (second === undefined) return t.fail();
  await storeWith(stateDir, [first]);
  const name = `00000002-${second.hash}.version`;
  await writeFile(join(stateDir, 'config', name), second.raw);
  const store = await ConfigStore.open(stateDir);
  t.is(store.current.version, 1);
  t.deepEqual(await readdir(join(stateDir, 'config', 'lost')), [name]);
  t.deepEqual(store.lost, []);
  t.is((await store.accept(second.raw, TRUSTED)).kind, 'accepted');
});

test('marks tell a long chain in few words, and the common version is found', async t => {
  const admin = newKey();
  const first = found([admin]);
  const versions = [first, ...chain(first, admin, 40)];
  const long = await storeWith(temporaryFolder(t), versions);
  const short = await storeWith(temporaryFolder(t), versions.slice(0, 12));
  t.is(long.marks()[0]?.version, 41);
  t.is(long.marks().at(-1)?.version, 1);
  t.true(long.marks().length <= 9);
  t.is(long.commonWith(short.marks()), 12);
  const common = short.commonWith(long.marks());
  t.true(common >= 1 && common <= 12);
  const some = await long.from(12, { countMax: 5, bytesMax: 1 << 30 });
  t.deepEqual(
    some.map(({ version }) => version),
    [13, 14, 15, 16, 17],
  );
  t.is((await long.from(12, { countMax: 5, bytesMax: 1 })).length, 1);
});

test('the branch that loses is kept with its policy, told of, and known from then on', async t => {
  const stateDir = temporaryFolder(t);
  const [strong, weak] = [newKey(), newKey()];
  const root = found([strong, weak]);
  const loserText = 'cluster: home # by the weak one\n';
  const [loser, loser2] = [next(root, weak, { policyText: loserText })].flatMap(version => [
    version,
    next(version, weak),
  ]);
  const winner = next(root, strong);
  if (loser === undefined || loser2 === undefined) return t.fail();
  const store = await storeWith(stateDir, [root, loser, loser2]);
  const acceptance = await store.accept(winner.raw, TRUSTED);
  if (acceptance.kind !== 'fork-won') return t.fail(acceptance.kind);
  t.deepEqual(
    acceptance.lost.map(({ version }) => version),
    [2, 3],
  );
  t.is(await readFile(acceptance.lost[0]?.policyPath ?? '', 'utf8'), loserText);
  t.is(store.current.hash, winner.hash);
  t.is((await store.accept(loser.raw, TRUSTED)).kind, 'known');
  t.is((await store.accept(loser2.raw, TRUSTED)).kind, 'known');

  const again = await ConfigStore.open(stateDir);
  t.is(again.current.hash, winner.hash);
  t.is(again.lost.length, 2);
  t.is((await again.accept(loser.raw, TRUSTED)).kind, 'known');
});

test('a stolen key does not come back by a rival from before its revocation, wherever that was seen first', async t => {
  const [stolen, honest] = [newKey(), newKey()];
  const root = found([stolen, honest]);
  const edit = next(root, honest);
  const revoked = next(edit, honest, { admins: root.admins.filter(({ host }) => host !== hostOf(stolen)) });
  const rival = next(root, stolen);
  const rival2 = next(rival, stolen);

  const stateDir = temporaryFolder(t);
  const saw = await storeWith(stateDir, [root, edit, revoked]);
  t.is((await saw.accept(rival.raw, TRUSTED)).kind, 'fork-lost');
  t.is((await saw.accept(rival.raw, TRUSTED)).kind, 'known');
  t.is((await saw.accept(rival2.raw, TRUSTED)).kind, 'fork-lost');
  t.is(saw.current.hash, revoked.hash);

  const fooledDir = temporaryFolder(t);
  const fooled = await storeWith(fooledDir, [root, rival, rival2]);
  t.is((await fooled.accept(edit.raw, TRUSTED)).kind, 'fork-lost');
  await rm(join(fooledDir, 'config', 'lost', `00000002-${edit.hash}.version`));
  t.is((await fooled.accept(revoked.raw, TRUSTED)).kind, 'gap', 'an operator has removed what it follows');
  t.is((await fooled.accept(edit.raw, TRUSTED)).kind, 'fork-lost');
  const again = await ConfigStore.open(fooledDir);
  const acceptance = await again.accept(revoked.raw, TRUSTED);
  if (acceptance.kind !== 'fork-won') return t.fail(acceptance.kind);
  t.deepEqual([again.current.hash, ...acceptance.lost.map(({ version }) => version)], [revoked.hash, 2, 3]);
  const reopened = await ConfigStore.open(fooledDir);
  t.is(reopened.current.hash, revoked.hash);
  t.deepEqual(
    reopened.lost.map(({ hash }) => hash).sort(),
    [rival.hash, rival2.hash].sort(),
    'what is in force is told of as lost no more',
  );
});

test('what was revoked stays so, whatever is signed beside it by the same admin, and wherever that was seen first', async t => {
  const [admin, laptop] = [newKey(), newKey()];
  const root = found([admin], { members: [memberOf(admin, 'imac'), memberOf(laptop, 'laptop')] });
  const members = root.members.map(member =>
    member.name === 'laptop' ? { ...member, state: 'revoked' as const } : member,
  );
  for (let n = 0; n < 5; n += 1) {
    const revoked = next(root, admin, { members, revoked: [revocationOf(laptop)] });
    // By an old image of the admin's host.
    const rival = chain(root, admin, 3);
    const saw = await storeWith(temporaryFolder(t), [root, revoked, ...rival]);
    const fooled = await storeWith(temporaryFolder(t), [root, ...rival, revoked]);
    t.deepEqual([saw.current.hash, fooled.current.hash], [revoked.hash, revoked.hash]);
  }
});

test('nobody is shut out by a branch that lost and was signed with a key that is no admin’s any more', async t => {
  const [stolen, honest, other] = [newKey(), newKey(), newKey()];
  const root = found([stolen, honest]);
  const standing = next(root, honest, { admins: root.admins.filter(({ host }) => host !== hostOf(stolen)) });
  const rival = next(root, stolen, { revoked: [revocationOf(other)] });
  const late = next(root, honest, { revoked: [revocationOf(other)] });
  const store = await storeWith(temporaryFolder(t), [root, standing, rival]);
  t.deepEqual([store.lost.length, store.shutOut], [1, []]);
  await store.accept(late.raw, TRUSTED);
  t.deepEqual(store.shutOut, [revocationOf(other)]);
});

test('of branches that lost the newest that are kept whole are told, longest first', async t => {
  const [strong, weak] = [newKey(), newKey()];
  const root = found([strong, weak]);
  const ours = next(root, strong);
  const long = chain(root, weak, 3);
  const other = next(long[0] ?? root, weak);
  const late = next(ours, weak);
  const stateDir = temporaryFolder(t);
  const store = await storeWith(stateDir, [root, ours, ...long, other, next(ours, strong), late]);
  const told = async () => (await store.lostMarks()).map(({ hash }) => hash);
  t.deepEqual(await told(), [long[2]?.hash, other.hash, late.hash]);
  await truncate(join(stateDir, 'config', 'lost', `00000003-${long[1]?.hash}.version`), 100);
  t.deepEqual(await told(), [other.hash, late.hash], 'one is damaged: what follows it has no ground');
  t.is((await store.accept(long[1]?.raw ?? new Uint8Array(), TRUSTED)).kind, 'fork-lost');
  t.deepEqual(await told(), [long[2]?.hash, other.hash, late.hash]);
});

test('stores that get the branches of forks in any order end with the same chain', async t => {
  const admins = [newKey(), newKey(), newKey()];
  const root = found(admins);
  // A tree of versions: each new one follows a random earlier one, signed by a random admin; some take one out, or in again, or revoke a host.
  const guests = [newKey(), newKey()];
  const change = fc.tuple(
    fc.nat({ max: 1000 }),
    fc.nat({ max: 2 }),
    fc.option(fc.nat({ max: 2 })),
    fc.option(fc.nat({ max: 1 })),
  );
  const trees = fc.array(change, { minLength: 1, maxLength: 7 });
  await fc.assert(
    fc.asyncProperty(
      trees,
      fc.array(fc.nat(), { minLength: 30, maxLength: 30 }),
      fc.array(fc.nat(), { minLength: 30, maxLength: 30 }),
      async (shape, orderA, orderB) => {
        const tree: Configuration[] = [root];
        for (const [parent, signer, changed, guest] of shape) {
          const key = admins[signer];
          const above = tree[parent % tree.length];
          if (key === undefined || above === undefined || !above.admins.some(({ host }) => host === hostOf(key)))
            continue;
          const entry = changed === null ? undefined : root.admins[changed];
          const others = above.admins.filter(admin => admin.key !== entry?.key);
          const isIn = others.length < above.admins.length;
          const out = guest === null ? undefined : guests[guest];
          const isOut = out === undefined || above.revoked.some(({ host }) => host === hostOf(out));
          const revoked = isOut ? above.revoked : [...above.revoked, revocationOf(out)];
          if (entry === undefined) tree.push(next(above, key, { revoked }));
          else if (!isIn) tree.push(next(above, key, { revoked, admins: [...others, entry] }));
          else if (others.length > 0) tree.push(next(above, key, { revoked, admins: others }));
        }
        const [a, b] = [await storeWith(temporaryFolder(t), [root]), await storeWith(temporaryFolder(t), [root])];
        // Each gets the versions in its own order, repeats included; then they tell each other until neither learns more.
        for (const [store, order] of [
          [a, orderA],
          [b, orderB],
        ] as const) {
          for (const pick of order) await store.accept((tree[pick % tree.length] ?? root).raw, TRUSTED);
        }
        for (let before = ''; before !== a.current.hash + b.current.hash; ) {
          before = a.current.hash + b.current.hash;
          for (const [from, to] of [
            [a, b],
            [b, a],
          ] as const) {
            for (const { raw } of await from.from(from.commonWith(to.marks()), ALL)) await to.accept(raw, TRUSTED);
          }
        }
        t.is(a.current.hash, b.current.hash);
      },
    ),
    { numRuns: 60 },
  );
});

test('a member that joined nothing yet is not trusted with a rival of version 1', async t => {
  const admin = newKey();
  const first = found([admin]);
  const store = await storeWith(temporaryFolder(t), [first]);
  const rival = found([admin], { members: [memberOf(admin, 'other')] });
  t.deepEqual(await store.accept(rival.raw, TRUSTED), { kind: 'refused', because: 'other-cluster' });
});

test('a look finds what opening finds, and leaves a version that is just being written where it is', async t => {
  const stateDir = temporaryFolder(t);
  const admin = newKey();
  const first = found([admin]);
  const [second, third] = chain(first, admin, 2);
  if (second === undefined || third === undefined) return t.fail();
  await storeWith(stateDir, [first, second]);
  await writeFile(join(stateDir, 'config', `00000003-${third.hash}.version`), third.raw);
  const before = await readdir(stateDir, { recursive: true });
  const seen = await ConfigStore.look(stateDir);
  t.is(seen.current.hash, second.hash);
  t.is(seen.latestSignedMs, second.signedMs);
  t.deepEqual(await readdir(stateDir, { recursive: true }), before);
  await t.throwsAsync(ConfigStore.look(temporaryFolder(t)), { code: 'NO_CLUSTER' });
});
