import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readAccountNames } from '../../src/catalog/account-names.js';
import { ClusterError } from '../../src/core/fault.js';
import type { ConfigApply, HostReport, StatusReport } from '../../src/daemon/service.js';
import { takeLock } from '../../src/platform/lock.js';
import { foreignFolder } from '../helpers/foreign-folder.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { cluster, each, eachThenSilence, hostOf, recordsOf, serve, statusOf } from './cli-fixture.js';

test('init creates a cluster in a folder of its own, once', async t => {
  const state = join(temporaryFolder(t), 'new/state');
  const { code, out } = await cluster(['--state', state, 'init', '--name', 'home', '--host', 'imac', '--json']);
  t.is(code, 0);
  t.like(recordsOf(out), [{ message_type: 'init', cluster: 'home', host: 'imac', state, config_version: 1 }]);
  t.is(statSync(state).mode & 0o777, 0o700);
  const again = await cluster(['--state', state, 'init', '--name', 'other', '--json']);
  t.is(again.code, 2);
  t.like(recordsOf(again.err), [{ code: 'ALREADY_IN_CLUSTER' }]);
  t.is((await cluster(['--state', state, 'status'])).code, 11, 'a cluster, but no service yet');
});

test('init refuses a bad name with 2 and leaves nothing', async t => {
  const state = join(temporaryFolder(t), 'state');
  const { code, err } = await cluster(['--state', state, 'init', '--name', 'Ann & Co']);
  t.is(code, 2);
  t.regex(err, /Ann & Co/);
  t.false(existsSync(join(state, 'config')));
});

test('join refuses a damaged token with 2', async t => {
  const state = join(temporaryFolder(t), 'state');
  for (const token of ['hello', 'scatterhoard1abc']) {
    const { code, err } = await cluster(['--state', state, 'join', token]);
    t.is(code, 2);
    t.regex(err, /not a complete token/);
  }
  t.is((await cluster(['--state', state, 'join', '-'], { input: 'hello\n' })).code, 2);
});

test("a command that would write in another user's state folder is refused with 12, and says what to type instead", async t => {
  const { path, owner } = foreignFolder(t);
  const name = readAccountNames().user(owner) || `'#${owner}'`;
  const sudo = `sudo${owner === 0 ? '' : ` -u ${name}`} cluster --state ${path}`;
  for (const words of [['init', '--name', 'home'], ['join', 'token'], ['up'], ['rebuild-index']]) {
    const before = readdirSync(path);
    const { code, out, err } = await cluster(['--state', path, ...words]);
    t.is(code, 12, err);
    t.is(out, '');
    t.true(err.includes(`${sudo} ${words[0]}`), err);
    t.deepEqual(readdirSync(path), before);
  }
});

test('a service of another user that is down is to be started as that user', async t => {
  const { path, owner } = foreignFolder(t);
  if (owner === 0) {
    t.pass('nothing can be made in it');
    return;
  }
  mkdirSync(join(path, 'config'));
  const { code, err } = await cluster(['--state', path, 'status']);
  t.is(code, 11);
  t.true(err.includes(` cluster --state ${path} up'`) && /is not running .*sudo -u/.test(err), err);
});

test('a service that has the state folder but does not answer yet is to be waited for, not started twice', async t => {
  const path = temporaryFolder(t);
  mkdirSync(join(path, 'config'));
  const lock = takeLock(join(path, 'lock'));
  const { code, err } = await cluster(['--state', path, 'status']);
  t.is(code, 11);
  t.true(err.includes(`process ${process.pid} has the state folder`) && !/cluster up/.test(err), err);
  lock.release();
  t.regex((await cluster(['--state', path, 'status'])).err, /Start it with 'cluster up'/);
});

test('rebuild-index leaves a folder alone that is not the state folder of a cluster, and exits 10', async t => {
  const folder = temporaryFolder(t);
  // A website, for example.
  for (const name of ['index', 'config']) mkdirSync(join(folder, name));
  writeFileSync(join(folder, 'index/page.html'), '');
  const { code, err } = await cluster(['--state', folder, 'rebuild-index']);
  t.is(code, 10, err);
  t.regex(err, /no cluster in .*nothing was removed/);
  t.deepEqual(readdirSync(folder).sort(), ['config', 'index']);
  t.true(existsSync(join(folder, 'index/page.html')));
});

test('an empty --state or $CLUSTER_STATE is refused with 2, and does not mean the current folder', async t => {
  const cwd = temporaryFolder(t);
  for (const words of [
    ['init', '--name', 'home'],
    ['join', 'token'],
    ['up'],
    ['rebuild-index'],
    ['doctor'],
    ['status'],
  ]) {
    const [option, variable] = await Promise.all([
      cluster(['--state', '', ...words], { cwd }),
      cluster(words, { cwd, env: { CLUSTER_STATE: '' } }),
    ]);
    t.deepEqual([option.code, variable.code], [2, 2], option.err + variable.err);
    t.regex(option.err, /--state is empty/);
    t.regex(variable.err, /\$CLUSTER_STATE is empty/);
  }
  t.deepEqual(readdirSync(cwd), []);
});

test('up without a cluster exits 10', async t => {
  t.is((await cluster(['up', '--state', join(temporaryFolder(t), 'absent')])).code, 10);
});

test('invite prints the token on stdout and nothing else there', async t => {
  const stateDir = await serve(t, {
    invite: async ({ uses, expiresMs, trust }) => ({
      token: `scatterhoard1-${uses}-${expiresMs}-${trust}`,
      untilMs: 0,
    }),
  });
  t.is((await cluster(['--state', stateDir, 'invite'])).out, 'scatterhoard1-1-86400000-trusted\n');
  const { out } = await cluster([
    '--state',
    stateDir,
    'invite',
    '--uses',
    '30',
    '--expires',
    '1h30m',
    '--trust',
    'untrusted',
  ]);
  t.is(out, 'scatterhoard1-30-5400000-untrusted\n');
});

test('config show prints the policy as it is, and config apply reads it back from a file or stdin', async t => {
  const text = '# mine\ncluster: home\n';
  const asked: ConfigApply[] = [];
  const stateDir = await serve(t, {
    configShow: async () => ({ text, version: 7, hash: 'h' }),
    configApply: async request => {
      asked.push(request);
      return { text: request.text, version: 8, hash: 'h', warnings: ['domains: there is one'] };
    },
  });
  const shown = await cluster(['--state', stateDir, 'config', 'show']);
  t.is(shown.out, text);
  const file = join(temporaryFolder(t), 'p.yaml');
  writeFileSync(file, text);
  const applied = await cluster(['--state', stateDir, 'config', 'apply', file]);
  t.deepEqual(
    [applied.code, applied.out, applied.err],
    [0, 'configuration 8 is in force\n', 'domains: there is one\n'],
  );
  await cluster(['--state', stateDir, 'config', 'apply', '-', '--yes'], { input: text });
  t.deepEqual(asked, [
    { text, fileName: file, yes: false },
    { text, fileName: 'stdin', yes: true },
  ]);
  const absent = await cluster(['--state', stateDir, 'config', 'apply', `${file}x`]);
  t.is(absent.code, 2);
  t.regex(absent.err, /cannot read the policy: ENOENT/);
});

test('config history lists versions, the newest first, as many as are asked for', async t => {
  const steps = [3, 2, 1].map(version => ({
    version,
    hash: 'ab'.repeat(32),
    signedMs: Date.UTC(2026, 6, version),
    signer: version === 2 ? undefined : 'imac',
    changes: version === 3 ? ['policy of mini', 'mini was admitted'] : ['policy for all'],
  }));
  const stateDir = await serve(t, { configHistory: () => each(...steps) });
  const { out } = await cluster(['--state', stateDir, 'config', 'history', '--last', '2']);
  t.deepEqual(out.split('\n'), [
    'version\ttime\tby\tchanged',
    '3\t2026-07-03 00:00:00\timac\tpolicy of mini; mini was admitted',
    '2\t2026-07-02 00:00:00\tunknown\tpolicy for all',
    '',
  ]);
  const records = recordsOf((await cluster(['--state', stateDir, 'config', 'history', '--json'])).out);
  t.is(records.length, 3);
  t.like(records[1], { message_type: 'config_version', version: 2, time: '2026-07-02T00:00:00.000Z', signer: null });
});

test('config show takes a version, and config rollback puts its policy in force again', async t => {
  const asked: unknown[] = [];
  const stateDir = await serve(t, {
    configAt: async ({ version }) => ({ text: `# ${version}\n`, version, hash: 'h' }),
    configRollback: async request => {
      asked.push(request);
      return { text: '', version: 9, hash: 'h' };
    },
  });
  t.is((await cluster(['--state', stateDir, 'config', 'show', '4'])).out, '# 4\n');
  const { code, out } = await cluster(['--state', stateDir, 'config', 'rollback', '4']);
  t.deepEqual([code, out], [0, 'configuration 9 is in force\n']);
  await cluster(['--state', stateDir, 'config', 'rollback', '4', '--yes']);
  t.deepEqual(asked, [
    { version: 4, yes: false },
    { version: 4, yes: true },
  ]);
  t.is((await cluster(['--state', stateDir, 'config', 'rollback', 'x'])).code, 2);
});

test('config apply and config rollback say the same of what they ask for --yes', async t => {
  for (const command of ['apply', 'rollback']) {
    const { out } = await cluster(['config', command, '--help']);
    t.regex(
      out.replaceAll(/\s+/g, ' '),
      /--yes also when it archives sources, lowers copies, or leaves out hosts or stores/,
    );
  }
});

test('config add-store and add-source pass on what was typed and nothing else', async t => {
  const asked: unknown[] = [];
  const answer = async (request: unknown) => {
    asked.push(request);
    return { text: '', version: 2, hash: 'h' };
  };
  const stateDir = await serve(t, { configAddStore: answer, configAddSource: answer });
  const run = (...args: string[]) => cluster(['--state', stateDir, 'config', ...args]);
  await run('add-store', 'mini', '/tank/hoard');
  await run('add-store', 'mini', '/tank/hoard', '--limit', '300 GB');
  await run('add-source', 'imac', 'photos', '/Users/ann/Pictures', '--copies', '3', '--every', '1h');
  await run('add-source', 'imac', 'notes', '/Users/ann/Notes', '--watch');
  t.deepEqual(asked, [
    { host: 'mini', path: '/tank/hoard' },
    { host: 'mini', path: '/tank/hoard', limit: '300 GB' },
    { host: 'imac', name: 'photos', path: '/Users/ann/Pictures', copies: 3, every: '1h' },
    { host: 'imac', name: 'notes', path: '/Users/ann/Notes', watch: true },
  ]);
  t.is((await run('add-store', 'mini', '/x', '--limit', '1 GB', '--reserve', '1 GB')).code, 2);
});

test("drain and revoke say what is then in force, and pass on the service's refusals", async t => {
  const asked: unknown[] = [];
  const report = { text: '', version: 7, hash: 'c'.repeat(64) };
  const stateDir = await serve(t, {
    drain: async request => {
      asked.push(request);
      return { ...report, warnings: ['only 1 other host lends room'] };
    },
    revoke: async ({ yes }) => {
      if (!yes) throw new ClusterError('NEEDS_YES', 'without mini, 3 parcels …', { blame: 'operator' });
      return report;
    },
  });
  const drained = await cluster(['--state', stateDir, 'drain', 'mini']);
  t.regex(drained.out, /mini is draining.*configuration 7/);
  t.is(drained.err, 'only 1 other host lends room\n');
  t.is((await cluster(['--state', stateDir, 'drain', 'mini', '--undo'])).code, 0);
  const disk = await cluster(['--state', stateDir, 'drain', 'mini:/mnt/usb: old']);
  t.regex(disk.out, /mini:\/mnt\/usb: old is draining; 'cluster hosts' on mini shows.*configuration 7/);
  t.is((await cluster(['--state', stateDir, 'drain', 'mini:usb'])).code, 2, 'no absolute path');
  for (const wrong of [
    ['--timeout', '1s'],
    ['--wait', '--undo'],
  ])
    t.is((await cluster(['--state', stateDir, 'drain', 'mini', ...wrong])).code, 2);
  t.is((await cluster(['--state', stateDir, 'drain', 'mini:/mnt/usb', '--wait'])).code, 2, 'only its host knows');
  t.deepEqual(asked, [
    { host: 'mini', undo: false },
    { host: 'mini', undo: true },
    { host: 'mini', path: '/mnt/usb: old', undo: false },
  ]);
  const refused = await cluster(['--state', stateDir, 'revoke', 'mini']);
  t.is(refused.code, 2);
  t.regex(refused.err, /without mini, 3 parcels/);
  const { out } = await cluster(['--state', stateDir, '--json', 'revoke', 'mini', '--yes']);
  t.like(JSON.parse(out), { message_type: 'config', version: 7 });
});

test('replace says what is so from then on, and passes on what the service refuses', async t => {
  const asked: unknown[] = [];
  const stateDir = await serve(t, {
    replace: async request => {
      asked.push(request);
      if (!request.yes) throw new ClusterError('NEEDS_YES', 'pi is heard …', { blame: 'operator' });
      if (request.by === 'pi') throw new ClusterError('REPLACE_REFUSED', 'pi cannot …', { blame: 'operator' });
      return { text: '', version: 7, hash: 'c'.repeat(64), warnings: ['take hosts.pi-2 out'] };
    },
  });
  const run = (...args: readonly string[]) => cluster(['--state', stateDir, ...args]);
  const refused = await run('replace', 'pi', 'pi-2');
  t.deepEqual([refused.code, refused.err], [2, 'cluster: pi is heard …\n']);
  t.is((await run('replace', 'pi', 'pi', '--yes')).code, 2);
  const done = await run('replace', 'pi', 'pi-2', '--yes');
  t.is(done.err, 'take hosts.pi-2 out\n');
  t.regex(
    done.out,
    /^the machine that joined as pi-2 is pi from now on.*nobody joins by its token \(configuration 7\)\n$/,
  );
  const { out } = await run('--json', 'replace', 'pi', 'pi-2', '--yes');
  t.like(JSON.parse(out), { message_type: 'config', version: 7, warnings: ['take hosts.pi-2 out'] });
  t.is((await run('replace', 'pi')).code, 2);
  t.deepEqual(asked.slice(0, 2), [
    { host: 'pi', by: 'pi-2', yes: false },
    { host: 'pi', by: 'pi', yes: true },
  ]);
});

test('drain --wait ends when nothing is left on the host, when the draining was undone, or with 20 when the time is up', async t => {
  const draining = (changes: Partial<HostReport>) =>
    statusOf({ hosts: [hostOf({ name: 'mini', self: false, state: 'draining', ...changes })] });
  const wait = async (...reports: readonly StatusReport[]) => {
    const stateDir = await serve(t, {
      drain: async () => ({ text: '', version: 7, hash: 'c'.repeat(64) }),
      statusChanges: signal => eachThenSilence(signal, ...reports),
    });
    return cluster(['--state', stateDir, 'drain', 'mini', '--wait', '--timeout', '3s']);
  };
  const done = await wait(draining({}), draining({ parcelsLeft: 2 }), draining({ parcelsLeft: 0 }));
  t.deepEqual([done.code, done.err], [0, 'mini: 2 parcels left\n']);
  t.regex(done.out, /\nmini is empty\n$/);
  const unread = draining({ stores: [{ lentBytes: 9, usedBytes: 1, mounted: true, unread: true }] });
  const read = await wait(unread, draining({}), unread, draining({ parcelsLeft: 0 }));
  t.is(read.err, 'mini: a store is being read again; what is in it is not known before\n', 'once');
  const [unknown, undone] = await Promise.all([wait(draining({})), wait(draining({ state: 'active' }))]);
  t.is(unknown.code, 20, 'what is not known is not empty');
  t.regex(unknown.err, /mini is not known to be empty after 3 s/);
  t.is(undone.code, 1);
});
