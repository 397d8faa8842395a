/**
 * Replace: the SD card of a machine has died. The machine is reinstalled, joins under a new name with a new key, and goes on
 * as the host that it was, with its name, its sources, their history and its disks. What somebody does with the old card
 * reaches nobody.
 */
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies } from '../helpers/count-copies.js';
import { RealCluster, type RealHost } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

test.serial('a reinstalled machine goes on as the host that it was, and the old key is a stranger’s', async t => {
  const cluster = new RealCluster(t);
  const [work, notes] = [cluster.makeFolder('work'), cluster.makeFolder('notes')];
  makePlainTree(work, { files: 60, name: 'work' });
  makePlainTree(notes, { files: 20, name: 'notes' });
  const storeOf = (host: string): string => cluster.makeFolder(`${host}.store`);
  const [teacher, pi, nas] = await cluster.found(['teacher', 'pi', 'nas']);
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      teacher: { stores: [{ path: storeOf('teacher') }], sources: { notes: { path: notes } } },
      pi: { stores: [{ path: storeOf('pi') }], sources: { work: { path: work } } },
      nas: { stores: [{ path: storeOf('nas') }] },
    },
    timing: { suspect: '2s', dead: '4s' },
  });
  const isDone = ({ sources, protected: all, settled }: Awaited<ReturnType<RealHost['status']>>): boolean =>
    sources.length === 2 && sources.every(({ lastSnapshot }) => lastSnapshot !== undefined) && all && settled;
  await teacher.sees('that all is protected', isDone);
  const idsOn = async (host: RealHost) => (await host.records('snapshots', 'work')).map(({ id }) => id);
  const before = await idsOn(teacher);
  const idOf = async (name: string) => (await teacher.status()).hosts.find(host => host.name === name)?.id;
  const id = await idOf('pi');
  t.is((await teacher.run('replace', 'pi', 'pi')).code, 2);

  // In its first start, as the new machine will be: that must not look like one machine, or like two that run at once.
  await pi.kill();
  renameSync(pi.state, cluster.path('card.state'));
  const saved = cluster.path('saved');
  renameSync(work, saved);
  cluster.makeFolder('work');
  await teacher.sees('that pi is not there', ({ hosts }) =>
    hosts.some(({ name, state }) => name === 'pi' && state !== 'active'),
  );

  const fresh = cluster.add('pi-2');
  await fresh.join(await teacher.invite());
  await fresh.up();
  await teacher.sees('the new machine', ({ hosts }) =>
    hosts.some(({ name, state }) => name === 'pi-2' && state === 'active'),
  );
  const asked = await teacher.run('replace', 'pi', 'pi-2');
  t.is(asked.code, 2);
  t.regex(
    asked.err,
    /without the stores of pi, \d+ parcels have fewer copies than wanted: attach their disks.*--yes replaces it as it is/,
  );
  const [told] = await teacher.records('replace', 'pi', 'pi-2', '--yes');
  t.like(told, { message_type: 'config' });
  t.regex(await teacher.ok('config', 'history'), /pi goes on as the machine that joined as pi-2/);

  // It starts again by itself, as pi.
  await teacher.sees('pi again', ({ hosts }) => {
    return hosts.length === 3 && hosts.some(({ name, state }) => name === 'pi' && state === 'active');
  });
  await cluster.until('it is pi', async () => (await fresh.status().catch(() => undefined))?.host === 'pi');
  t.is(await idOf('pi'), id);
  t.like(await fresh.status(), { host: 'pi', hostId: id });
  const { alarms } = await teacher.status();
  t.deepEqual(
    alarms.filter(({ code }) => code === 'MEMBERSHIP'),
    [],
  );

  // Its folder is empty, which is no deletion.
  const early = await fresh.run('backup', 'work');
  t.is(early.code, 1);
  t.regex(early.err, /missing|empty|has none/);
  t.deepEqual(await idsOn(fresh), before);
  await fresh.ok('restore', 'work', '--target', cluster.path('restored'), '--verify');
  t.deepEqual(compareTrees(saved, cluster.path('restored')), []);
  // All that the disk has is signed with the old key, and the configuration there has the new one.
  await nas.ok('restore', 'work', '--from-store', storeOf('nas'), '--target', cluster.path('bare'), '--verify');
  t.deepEqual(compareTrees(saved, cluster.path('bare')), []);
  rmSync(work, { recursive: true });
  renameSync(cluster.path('restored'), work);
  writeFileSync(join(work, 'later'), 'later');
  await fresh.ok('backup', 'work', '--wait', '--timeout', '60s');
  const after = await idsOn(teacher);
  t.is(after.length, before.length + 1);
  t.deepEqual(after.slice(0, -1), before);
  await nas.ok('restore', `work@${String(before[0])}`, '--target', cluster.path('old'), '--verify');
  t.deepEqual(compareTrees(saved, cluster.path('old')), []);

  // Its own disk holds what it held, in a new log, after all of it was read.
  t.regex(JSON.stringify(fresh.log()), /STORE_DOUBT/);
  await teacher.sees('that all is protected and settled', isDone);
  const stores = ['teacher', 'pi', 'nas'].map(host => ({ host, path: storeOf(host) }));
  const contents = await contentsOf(notes);
  await cluster.until('each file of another host is on it, too', async () => {
    const { copies, wrong } = await countCopies(stores);
    t.deepEqual(wrong, []);
    return [...contents.keys()].every(hash => copies.get(hash)?.hosts.includes('pi'));
  });

  // Whoever has the card runs the old machine.
  const thief = cluster.add('card');
  const [{ version } = {}] = await teacher.records('config', 'show');
  await thief.up('--peer', teacher.addresses[0] ?? '', '--peer', fresh.addresses[0] ?? '');
  writeFileSync(join(work, 'stolen'), 'stolen');
  await thief.ok('backup', 'work');
  await thief.sees('that nobody talks to it', ({ hosts }) =>
    hosts.every(({ self, state }) => self || state === 'dead'),
  );
  const [now] = await teacher.records('config', 'show');
  t.deepEqual([await idsOn(teacher), await idsOn(fresh), now?.version], [after, after, version]);
  for (const host of [teacher, fresh, nas]) t.notRegex(JSON.stringify(host.log()), /DUPLICATE_IDENTITY|HEAD_FORKED/);
});

test.serial(
  'an untrusted machine that is reinstalled goes on with its history, too, of which it is given what is its own',
  async t => {
    const cluster = new RealCluster(t);
    const [work, notes] = [cluster.makeFolder('work'), cluster.makeFolder('notes')];
    makePlainTree(work, { files: 10, name: 'work' });
    makePlainTree(notes, { files: 10, name: 'notes' });
    const [teacher] = await cluster.found(['teacher', 'nas']);
    const pupil = cluster.add('pupil');
    await pupil.join(await teacher.invite(1, '--trust', 'untrusted'));
    await pupil.up();
    await cluster.apply({
      defaults: { copies: 1 },
      hosts: {
        teacher: { sources: { notes: { path: notes } } },
        pupil: { sources: { work: { path: work } } },
        nas: { stores: [{ path: cluster.makeFolder('nas.store') }] },
      },
      timing: { suspect: '2s', dead: '4s' },
    });
    const count = ({ sources, protected: all }: Awaited<ReturnType<RealHost['status']>>): boolean =>
      all && sources.length === 2 && sources.every(({ lastSnapshot }) => lastSnapshot !== undefined);
    await teacher.sees('that all is protected', count);
    const before = (await teacher.records('snapshots', 'work')).map(({ id }) => id);
    await pupil.kill();
    rmSync(pupil.state, { recursive: true });

    const fresh = cluster.add('pupil-2');
    await fresh.join(await teacher.invite(1, '--trust', 'untrusted'));
    await fresh.up();
    await teacher.sees('the new machine alone', ({ hosts }) =>
      hosts.every(({ name, state }) => (name === 'pupil' ? state === 'dead' : state === 'active')),
    );
    await teacher.ok('replace', 'pupil', 'pupil-2');
    await cluster.until('it is pupil', async () => (await fresh.status().catch(() => undefined))?.host === 'pupil');
    writeFileSync(join(work, 'later'), 'later');
    await fresh.ok('backup', 'work', '--wait', '--timeout', '60s');
    const after = await teacher.records('snapshots', 'work');
    // It may have taken one by itself before it was told to.
    t.true(after.length > before.length);
    t.deepEqual(
      after.slice(0, before.length).map(({ id }) => id),
      before,
    );
    t.true(after.every(({ partial }) => partial === false));
  },
);

test.serial(
  'a reinstalled machine whose disk has died, too, makes the store anew, as the host that it was',
  async t => {
    const cluster = new RealCluster(t);
    const notes = cluster.makeFolder('notes');
    makePlainTree(notes, { files: 10, name: 'notes' });
    const disk = cluster.makeFolder('pi.store');
    const [teacher, pi] = await cluster.found(['teacher', 'pi']);
    await cluster.apply({
      defaults: { copies: 1 },
      hosts: { teacher: { sources: { notes: { path: notes } } }, pi: { stores: [{ path: disk }] } },
      timing: { suspect: '2s', dead: '4s' },
    });
    const isDone = ({ sources, protected: all }: Awaited<ReturnType<RealHost['status']>>): boolean =>
      all && sources[0]?.lastSnapshot !== undefined;
    await teacher.sees('that all is protected', isDone);
    await pi.kill();
    for (const folder of [pi.state, disk]) rmSync(folder, { recursive: true });
    cluster.makeFolder('pi.store');
    const fresh = cluster.add('pi-2');
    await fresh.join(await teacher.invite());
    await fresh.up();
    await teacher.sees('the new machine alone', ({ hosts }) =>
      hosts.every(({ name, state }) => (name === 'pi' ? state === 'dead' : state === 'active')),
    );
    await teacher.ok('replace', 'pi', 'pi-2', '--yes');
    // It starts again by itself meanwhile.
    await cluster.until('all is protected again', async () => {
      const status = await fresh.status().catch(() => undefined);
      return status?.host === 'pi' && isDone(status);
    });
    t.deepEqual((await fresh.status()).alarms, []);
  },
);

test.serial(
  'snapshots that an admin’s host may not have heard of want a yes, and are told of and held by who knows them',
  async t => {
    const cluster = new RealCluster(t);
    const work = cluster.makeFolder('work');
    makePlainTree(work, { files: 10, name: 'work' });
    const [admin, pi, nas] = await cluster.found(['admin', 'pi', 'nas']);
    const [first, second] = [cluster.makeFolder('nas.store'), cluster.makeFolder('nas.second')];
    const planWith = (...paths: readonly string[]) => ({
      defaults: { copies: 1 },
      hosts: {
        pi: { sources: { work: { path: work, watch: false, every: '24h' } } },
        nas: { stores: paths.map(path => ({ path })) },
      },
      timing: { suspect: '2s', dead: '4s' },
    });
    await cluster.apply(planWith(first));
    await pi.sees('its source', ({ sources }) => sources.length === 1);
    await pi.ok('backup', 'work', '--wait', '--timeout', '60s');
    const idsOn = async (host: RealHost) => (await host.records('snapshots', 'work')).map(({ id }) => String(id));
    await cluster.until('the admin has heard of it', async () => (await idsOn(admin)).length > 0);
    await admin.stop();
    writeFileSync(join(work, 'later'), 'later');
    await pi.ok('backup', 'work', '--wait', '--timeout', '60s');
    const later = (await idsOn(nas)).at(-1) ?? '';
    await pi.kill();
    rmSync(pi.state, { recursive: true });
    await nas.stop();

    rmSync(work, { recursive: true });
    cluster.makeFolder('work');
    await admin.up();
    t.false((await idsOn(admin)).includes(later));
    const fresh = cluster.add('pi-2');
    await fresh.join(await admin.invite());
    await fresh.up();
    await admin.sees('the new machine', ({ hosts }) =>
      hosts.some(({ name, state }) => name === 'pi-2' && state === 'active'),
    );
    const asked = await admin.run('replace', 'pi', 'pi-2');
    t.is(asked.code, 2);
    t.regex(asked.err, /nas cannot be asked, and may have heard of later snapshots of pi than this host has/);
    await admin.ok('replace', 'pi', 'pi-2', '--yes');
    await cluster.until('it is pi', async () => (await fresh.status().catch(() => undefined))?.host === 'pi');
    await nas.up();
    await nas.sees('that a snapshot counts no more', ({ alarms }) =>
      alarms.some(({ code, text }) => code === 'HEAD_VOIDED' && text.includes(later.slice(0, 8))),
    );
    t.deepEqual(await idsOn(nas), await idsOn(admin));
    await nas.ok('restore', `work@${later}`, '--target', cluster.path('held'), '--verify');

    // All speak of one list, and a store that has none yet gets that once.
    await cluster.apply(planWith(first, second));
    await cluster.until(
      'the new store has the list',
      async () =>
        existsSync(join(second, '.catalog', 'heads')) && readdirSync(join(second, '.catalog', 'heads')).length > 0,
    );
    writeFileSync(join(work, 'again'), 'again');
    await fresh.ok('backup', 'work', '--accept-changes', '--yes', '--wait', '--timeout', '60s');
    await cluster.until('all list it', async () => {
      const lists = await Promise.all([admin, nas, fresh].map(idsOn));
      return new Set(lists.map(list => list.join())).size === 1;
    });
    await admin.ok('status', '--wait', 'settled', '--timeout', '60s');
  },
);
