/** Doctor: `cluster doctor` on real hosts that are well, and on some that are not; it changes nothing. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CHECK_NAMES } from '../../src/cli/check.js';
import { cluster as run } from '../cli/cli-fixture.js';
import { FolderAway, whyNoFolderAway } from '../helpers/hanging-disk.js';
import { MAIN, RealCluster, type RealHost } from '../helpers/real-cluster.js';
import { skip } from '../helpers/skip.js';
import { unprivileged } from '../helpers/unprivileged.js';
import { makePlainTree } from './plain-tree.js';

interface Told {
  readonly name: string;
  readonly result: string;
  readonly subject: string | null;
  readonly message: string;
}

interface Examined {
  readonly code: number | null;
  readonly told: readonly Told[];
  /** The messages that are not right, by the check's name and its subject. */
  readonly wrong: Readonly<Record<string, string>>;
  readonly err: string;
}

/** Checks of the machine that the tests run on: what they say is not these tests' to know. */
const OF_THE_MACHINE = [
  'program',
  'hasher',
  'system-calls',
  'open-files',
  'network',
  'port',
  'state-room',
  'store-room',
];

async function examine(host: Pick<RealHost, 'run'>): Promise<Examined> {
  const { code, out, err } = await host.run('--json', 'doctor');
  const told = out
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Told);
  const wrong = told
    .filter(({ name, result }) => result === 'failed' || (result === 'warning' && !OF_THE_MACHINE.includes(name)))
    .map(({ name, subject, message }) => [subject === null ? name : `${name} ${subject}`, message]);
  return { code, told, wrong: Object.fromEntries(wrong), err };
}

/** Two hosts with a store each; one has a source, too. */
async function twoHosts(t: ExecutionContext) {
  const cluster = new RealCluster(t);
  const [imac, mini] = await cluster.found(['imac', 'mini']);
  const stores = { imac: cluster.makeFolder('imac.store'), mini: cluster.makeFolder('mini.store') };
  const photos = cluster.makeFolder('photos');
  makePlainTree(photos, { files: 3, name: 'files' });
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      imac: { stores: [{ path: stores.imac }], sources: { photos: { path: photos, watch: true } } },
      mini: { stores: [{ path: stores.mini }] },
    },
  });
  return { cluster, imac, mini, stores, photos };
}

/** Every name below a folder, with what would show that somebody wrote there. */
const traces = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map(name => {
      const { size, mtimeMs, ctimeMs, mode } = lstatSync(join(folder, name));
      return [name, size, mtimeMs, ctimeMs, mode].join(' ');
    });

test('a host that is well has nothing wrong, with and without a terminal; one that is stopped has that alone, and is left as it is', async t => {
  const { cluster, imac, mini, stores, photos } = await twoHosts(t);
  await imac.ok('backup', 'photos', '--wait', '--timeout', '60s');
  await imac.sees('no alarm', ({ alarms, protected: isProtected }) => alarms.length === 0 && isProtected);
  // On a busy machine the other host may be silent for a moment.
  const well = await cluster.until('nothing is wrong', async () => {
    const seen = await examine(imac);
    return Object.keys(seen.wrong).length === 0 && seen;
  });
  t.is(well.code, 0);
  const names = well.told.map(({ name }) => name);
  const ofLinux = ['open-files', 'source-mounts', 'source-watch'];
  t.deepEqual(
    CHECK_NAMES.filter(name => !names.includes(name) && (process.platform === 'linux' || !ofLinux.includes(name))),
    [],
  );
  t.deepEqual(
    names.map(name => (CHECK_NAMES as readonly string[]).indexOf(name)).filter((at, n, all) => at < (all[n - 1] ?? 0)),
    [],
    'in the order of the table',
  );
  t.like(
    well.told.find(({ name }) => name === 'store'),
    {
      message_type: 'check',
      result: 'ok',
      subject: stores.imac,
      message: `${stores.imac}: it is this host's, and in use`,
    },
  );
  t.regex(well.told.find(({ name }) => name === 'service')?.message ?? '', new RegExp(`process ${imac.pid}\\b`));
  if (process.platform === 'linux') {
    const watching = well.told.find(({ name }) => name === 'source-watch')?.message ?? '';
    t.regex(watching, /^the service watches [1-9]\d* folders? of photos/);
  }

  const lines = (await imac.run('doctor')).out.trimEnd().split('\n');
  t.true(lines.length >= well.told.length);
  for (const line of lines) t.regex(line, /^(ok {7}|warning {2}|failed {3})[a-z-]+ {2}\S/);

  await imac.stop();
  await mini.stop();
  const folders = [imac.state, stores.imac, photos];
  const before = folders.map(traces);
  const stopped = await examine(imac);
  t.is(stopped.code, 1);
  t.deepEqual(Object.keys(stopped.wrong), ['service']);
  t.regex(stopped.wrong.service ?? '', /not running here.*Start it with 'cluster up'/);
  t.deepEqual(folders.map(traces), before);

  onTerminal(t, cluster, imac);
});

/** Everything fits a terminal of 80 columns, and nothing but a path that is longer is cut. */
function onTerminal(t: ExecutionContext, cluster: RealCluster, host: RealHost): void {
  const script = spawnSync('script', ['--version'], { encoding: 'utf8' });
  if (script.status !== 0) {
    t.log('there is no script(1) of util-linux: not tried on a terminal');
    return;
  }
  const command = [process.execPath, MAIN, '--state', host.state, 'doctor'].join(' ');
  const env = { PATH: process.env.PATH, NO_COLOR: '1', TERM: 'xterm' };
  const typed = join(cluster.folder, 'typed');
  spawnSync('script', ['-qec', `stty cols 80; ${command}`, typed], { env, input: '', timeout: 30_000 });
  const lines = readFileSync(typed, 'utf8').replaceAll('\r', '').split('\n').slice(1);
  t.true(
    lines.some(line => /^failed {3}service {2}the service is not running/.test(line)),
    lines.join('\n'),
  );
  for (const line of lines) t.true(line.length <= 80, line);
}

test('a store that is missing, or another host’s, and a key that others can read are told, with what to do', async t => {
  const { imac, mini, stores } = await twoHosts(t);
  const areMade = (): boolean => Object.values(stores).every(store => existsSync(join(store, '.scatterhoard')));
  await imac.sees('the stores and a snapshot', ({ sources }) => areMade() && sources[0]?.lastSnapshot !== undefined);
  await mini.stop();
  await imac.stop();

  renameSync(stores.imac, `${stores.imac}.away`);
  const missing = await examine(imac);
  t.is(missing.code, 1);
  t.regex(missing.wrong[`store ${stores.imac}`] ?? '', /there is no such folder: mount its disk/);
  t.false(missing.told.some(({ name }) => name === 'store-room'));
  renameSync(`${stores.imac}.away`, stores.imac);

  const marker = join(stores.imac, '.scatterhoard');
  copyFileSync(marker, `${marker}.kept`);
  rmSync(marker);
  t.regex((await examine(imac)).wrong[`store ${stores.imac}`] ?? '', /no \.scatterhoard, and had one/);
  copyFileSync(join(stores.mini, '.scatterhoard'), marker);
  t.regex((await examine(imac)).wrong[`store ${stores.imac}`] ?? '', /the store of another host, mini/);
  copyFileSync(`${marker}.kept`, marker);

  chmodSync(join(imac.state, 'identity.key'), 0o644);
  const exposed = await examine(imac);
  t.is(exposed.code, 1);
  t.deepEqual(Object.keys(exposed.wrong), ['service', 'host-key']);
  t.regex(exposed.wrong['host-key'] ?? '', /mode 644.*chmod 600 .*identity\.key/);
  t.true(
    exposed.told.some(({ name, result }) => name === 'store' && result === 'ok'),
    'the rest is looked at',
  );
});

test('a user who may only pass through the state folder is told what the service says, and what cannot be looked at', async t => {
  // A clone may lie in a folder that is closed to others.
  if (unprivileged().owner === undefined) return skip(t, 'only root can run it as somebody else');
  const cluster = new RealCluster(t);
  const [imac] = await cluster.found(['imac']);
  chmodSync(imac.state, 0o710);
  const by = ['setpriv', '--reuid', '65534', '--regid', '0', '--clear-groups'];
  const examineAs = (by: readonly string[]) =>
    examine({ run: (...args) => run(['--state', imac.state, ...args], { by }) });
  const passing = await examineAs(by);
  t.deepEqual(Object.keys(passing.wrong), ['state-folder', 'host-key', 'members']);
  t.regex(passing.wrong['host-key'] ?? '', /may not read .*be root/);
  t.is(passing.code, 0);
  // One who may not gets 12, and no advice to end what may be the service.
  chmodSync(imac.state, 0o700);
  const listener = createServer().on('error', () => {}); // if the port is in use already, that serves as well
  listener.listen(4747, '127.0.0.1');
  t.teardown(() => listener.close());
  const shutOut = await examineAs(by);
  t.is(shutOut.code, 12);
  t.like(
    shutOut.told.find(({ name }) => name === 'port'),
    { result: 'ok', message: 'TCP port 4747 is in use, and as far as can be told by the service of this host' },
  );
});

test('a source whose server is away is late, and holds up neither the rest nor the end', async t => {
  const why = whyNoFolderAway();
  if (why !== undefined) return skip(t, why);
  const cluster = new RealCluster(t);
  const [imac] = await cluster.found(['imac']);
  const [photos, store] = [cluster.makeFolder('photos'), cluster.makeFolder('store')];
  await cluster.apply({ hosts: { imac: { stores: [{ path: store }], sources: { photos: { path: photos } } } } });
  await imac.stop();
  const folder = new FolderAway(t, photos);
  folder.goAway();
  const away = await examine(imac);
  t.is(away.code, 1);
  t.regex(away.wrong['source photos'] ?? '', /has not answered for \d+ s/);
  t.true(away.told.some(({ name, result, subject }) => name === 'store' && subject === store && result !== 'failed'));
  t.is(away.told.at(-1)?.name, 'source-snapshot');
});

test('a state folder whose disk does not answer is told, and does not hold up the end', async t => {
  const why = whyNoFolderAway();
  if (why !== undefined) return skip(t, why);
  const host = new RealCluster(t).add('imac');
  await host.init();
  const folder = new FolderAway(t, host.state);
  folder.goAway();
  const away = await examine(host);
  t.is(away.code, 1);
  t.deepEqual(Object.keys(away.wrong), ['state-folder']);
  t.regex(away.wrong['state-folder'] ?? '', /imac\.state: its disk has not answered for 15 s/);
});

test('without a cluster the machine is looked at, and then the command exits 10; a damaged configuration is told', async t => {
  const { code, out, err } = await run(['doctor']);
  t.is(code, 10);
  t.regex(out, /^ok {7}program {2}scatterhoard/);
  t.notRegex(out, /state-folder/);
  t.regex(err, /no cluster here/);

  const cluster = new RealCluster(t);
  const host = cluster.add('imac');
  await host.init();
  truncateSync(join(host.state, 'config', 'current'), 5);
  const damaged = await examine(host);
  t.is(damaged.code, 1);
  t.deepEqual(Object.keys(damaged.wrong), ['service', 'configuration']);
  if (process.getuid?.() === 0) {
    chownSync(join(host.state, 'config'), 65_534, 65_534);
    t.regex(
      (await examine(host)).wrong['state-folder'] ?? '',
      /: config in it belongs to .*chown -R root \S+\/config$/,
    );
  }
  rmSync(join(host.state, 'config', 'current'));
  const none = await examine(host);
  t.is(none.code, 10);
  t.regex(none.err, /NO_CLUSTER/);
  t.true(none.told.some(({ name }) => name === 'state-folder'));
});
