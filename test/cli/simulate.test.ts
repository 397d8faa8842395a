import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import type { HostId, ParcelId, StoreId } from '../../src/core/ids.js';
import type { HostReport } from '../../src/daemon/service.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { cluster, each, HOST, hostOf, placementOf, recordsOf, serve } from './cli-fixture.js';

/** A command runs by then, also on a busy machine; the one that it is for would run for minutes. */
const STARTED_MS = 5_000;
const SMALL = ['simulate', '--hosts', '4', '--files', '40', '--seed', '3'];

test('simulate needs no cluster, prints its seed, and says the same twice', async t => {
  const first = await cluster(SMALL);
  t.is(first.code, 0);
  t.regex(first.out, /4 hosts, \d+ parcels, .* 2 copies wanted .* seed 3/);
  t.regex(first.out, /host-4\t/);
  t.regex(first.out, /first backup\n {2}moved .* what the links need/);
  t.regex(first.out, /worst moment: /);
  t.regex(first.out, /if any one host went at once: every parcel would still have a copy/);
  t.is((await cluster(SMALL)).out, first.out);
  t.true(first.out.split('\n').every(line => line.length <= 100));
});

test('without --seed it is 42, and said', async t => {
  t.regex((await cluster(['simulate', '--hosts', '3', '--files', '3'])).out, /seed 42/);
});

test('simulate --json gives hosts, phases, what a loss takes, and the whole', async t => {
  const { out, code } = await cluster([
    ...SMALL,
    '--disks',
    '500GB,1TB',
    '--lose',
    '2',
    '--remove',
    'host-2',
    '--json',
  ]);
  t.is(code, 0);
  const records = recordsOf(out);
  t.deepEqual(
    records.map(({ message_type }) => message_type),
    ['plan_host', 'plan_host', 'plan_host', 'plan_host', 'plan_phase', 'plan_phase', 'plan_loss', 'plan'],
  );
  t.like(records[1], { name: 'host-2', lent: 1_000_000_000_000, used: 0, gone: true });
  t.like(records[5], { what: '− host-2', short: 0 });
  t.like(records[6], { lose: 2, exact: true });
  t.like(records[7], { seed: 3, copies: 2 });
});

test('simulate --svg writes a picture', async t => {
  const file = join(temporaryFolder(t), 'plan.svg');
  const { code, out } = await cluster([...SMALL, '--svg', file]);
  t.is(code, 0);
  t.true(out.includes(`picture: ${file}`));
  t.regex(readFileSync(file, 'utf8'), /^<svg [\s\S]*How full each host is[\s\S]*<\/svg>\n$/);
});

test('simulate --svg puts a picture in the place of another, also behind a link, and into a pipe', async t => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'plan.svg');
  const link = join(folder, 'link.svg');
  writeFileSync(file, 'old', { mode: 0o640 });
  symlinkSync(file, link);
  t.is((await cluster([...SMALL, '--svg', link])).code, 0);
  t.regex(readFileSync(file, 'utf8'), /^<svg /);
  t.is(statSync(file).mode & 0o777, 0o640);
  t.deepEqual(readdirSync(folder).sort(), ['link.svg', 'plan.svg']);
  t.true(lstatSync(link).isSymbolicLink());

  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const [read] = await Promise.all([readFile(pipe, 'utf8'), cluster([...SMALL, '--svg', pipe])]);
  t.regex(read, /^<svg /);
  t.true(statSync(pipe).isFIFO());
});

test('a picture for which there is no room is told with its folder, and what was there stays', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const folder = temporaryFolder(t);
  mountSmallDisk(t, folder, 64 * 1024);
  const file = join(folder, 'plan.svg');
  writeFileSync(file, 'old');
  fillDisk(join(folder, 'filler'));
  const full = await cluster([...SMALL, '--svg', file]);
  t.is(full.code, 1);
  t.true(full.err.includes(`there is no room left on the disk of ${folder} (ENOSPC)`), full.err);
  t.regex(full.out, /if any one host went at once/, 'what was found is told');
  t.is(readFileSync(file, 'utf8'), 'old');
  const relative = await cluster([...SMALL, '--svg', 'other.svg'], { cwd: folder });
  t.true(relative.err.includes(`the disk of ${folder} (ENOSPC)`), relative.err);
  t.deepEqual(readdirSync(folder).sort(), ['filler', 'plan.svg']);
});

test('what does not fit exits 20 and says how much is missing', async t => {
  const { code, out } = await cluster(['simulate', '--hosts', '3', '--files', '20', '--disks', '1MB']);
  t.is(code, 20);
  t.regex(out, /are missing:\n {4}[\d.]+ .B more would have to fit somewhere\n/);
  t.notRegex(out, /too few hosts/);
});

test('where hosts are missing, and not room, that is said', async t => {
  const made = ['simulate', '--hosts', '3', '--files', '20'];
  const copies = await cluster([...made, '--copies', '5']);
  t.is(copies.code, 20);
  t.regex(copies.out, /are missing:\n {4}too few hosts or domains for \d+ parcels: 5 wanted, 2 can take one\n/);
  const gone = await cluster([...made, '--remove', 'host-1']);
  t.is(gone.code, 20);
  t.regex(gone.out, / {4}too few hosts or domains for \d+ parcels: 2 wanted, 1 can take one\n/);
  for (const { out } of [copies, gone]) t.notRegex(out, /have to fit somewhere|not room/);
});

test('what has no copy would be lost with its origin, and that is said', async t => {
  const { out } = await cluster(['simulate', '--hosts', '4', '--files', '300', '--disks', '300MB']);
  t.regex(out, /\n {2}\d+ parcels? \([^)]+\) would be lost for good, by the loss of\n {4}host-\d\n/);
  t.regex(out, /\n {2}\d+ parcels with no copy as it is would go with the origin\n/);
});

test('of many hosts that go as many are named as a line takes', async t => {
  const { out } = await cluster(['simulate', '--hosts', '12', '--files', '20', '--lose', '11', '--copies', '1']);
  t.regex(out, /\n {4}(host-\d+, ){6,8}host-\d+ and [2-4] more,?\n/);
  t.true(out.split('\n').every(line => line.length <= 80));
});

test('a simulation ends when it is interrupted, also while its hosts only meet', async t => {
  const started = new Promise(resolve => setTimeout(resolve, STARTED_MS));
  const { code, err, out } = await cluster(['simulate', '--hosts', '200', '--files', '1000'], {
    kill: { signal: 'SIGINT', when: started },
  });
  t.is(code, 130);
  t.is(err, 'interrupted\n');
  t.is(out, '');
});

test('simulate refuses what it cannot read, with 2', async t => {
  for (const wrong of [
    ['--hosts', '0'],
    ['--hosts', '201'],
    ['--disks', '4T'],
    ['--rate', '100MB'],
    ['--seed', '-1'],
    ['--here', '--hosts', '3'],
    ['--files', '1000001'],
  ]) {
    t.is((await cluster(['simulate', ...wrong])).code, 2, wrong.join(' '));
  }
  const homeless = await cluster([...SMALL, '--svg', join(temporaryFolder(t), 'nowhere', 'plan.svg')]);
  t.is(homeless.code, 2);
  t.regex(homeless.err, /its folder cannot be written/);
  for (const folder of [temporaryFolder(t), '', join(temporaryFolder(t), 'pictures/')]) {
    const { code, err, out } = await cluster([...SMALL, '--svg', folder]);
    t.is(code, 2, folder);
    t.regex(err, /that is a folder, and a file is wanted\. Nothing was simulated\./);
    t.is(out, '');
  }
  for (const [options, why] of [
    [
      ['--hosts', '200', '--files', '999999'],
      /--files 999999: allowed with 200 hosts: at most 500000\. Nothing was sim/,
    ],
    [['--hosts', '3', '--lose', '200'], /--lose 200: there would be 3 hosts in the end\. Nothing was simulated/],
    [['--hosts', '3', '--add-host', '1TB', '--remove', 'host-1', '--lose', '4'], /--lose 4: there would be 3 hosts/],
  ] as const) {
    const { code, err, out } = await cluster(['simulate', ...options]);
    t.is(code, 2, options.join(' '));
    t.regex(err, why);
    t.is(out, '');
  }
  const { code, err } = await cluster([...SMALL, '--remove', 'mini']);
  t.is(code, 2);
  t.regex(err, /--remove mini: no such host; there are: host-1 to host-4/);
});

test('simulate --here asks the service, and is not there without one', async t => {
  const folder = temporaryFolder(t);
  t.is((await cluster(['simulate', '--here', '--state', folder])).code, 10);

  const hosts = ['imac', 'mini', 'pi', 'nas'].map((name, i): HostReport => {
    const digit = String(i + 1);
    const store = {
      id: digit.repeat(32) as StoreId,
      path: '/srv',
      lentBytes: 1_000_000_000,
      usedBytes: 0,
      mounted: true,
    };
    const id = i === 0 ? HOST : (digit.repeat(32) as HostId);
    const leaving = { ...store, id: '9'.repeat(32) as StoreId, path: '/old', draining: true };
    return hostOf({ name, id, domain: id, self: i === 0, stores: i === 0 ? [store, leaving] : [store] });
  });
  const holders = hosts.slice(1, 3).map(({ id, stores }) => ({ host: id, store: stores[0]?.id as StoreId }));
  const placements = Array.from({ length: 5 }, (_, i) => placementOf(i, { holders }));
  const history = placementOf(5, { holders, atOrigin: false });
  // Nobody has it, and nobody lists it: nothing can be done, and nothing is to be.
  const forgotten = { ...history, parcel: '6a'.repeat(32) as ParcelId, listed: false, holders: [] };
  placements.push(history, forgotten);
  const stateDir = await serve(t, {
    hosts: async () => hosts,
    timing: async () => DEFAULT_TIMING,
    placements: () => each(...placements),
  });
  const { code, out } = await cluster(['--state', stateDir, 'simulate', '--here', '--remove', 'mini', '--json']);
  t.is(code, 0);
  const records = recordsOf(out);
  t.like(
    records.find(({ name }) => name === 'nas'),
    { copies: 6, used: 6_000_000 },
  );
  t.like(
    records.find(({ name }) => name === 'imac'),
    { lent: 1_000_000_000 },
    'a store that is to be emptied is no room',
  );
  t.like(
    records.find(({ name }) => name === 'pi'),
    { copies: 6 },
  );
  t.like(
    records.find(({ what }) => what === 'as it is'),
    { moved: 0 },
  );
  t.like(
    records.find(({ what }) => what === '− mini'),
    { moved: 6_000_000, short: 0 },
  );
  const lost = await cluster(['--state', stateDir, 'simulate', '--here', '--lose', '2']);
  t.is(lost.code, 0);
  t.regex(lost.out, / 6 parcels \(6 MB\) would be without a copy, by the loss of\n {4}mini, pi,\n/);
  t.regex(lost.out, / 1 parcel \(1 MB\) would be lost for good, by the loss of\n {4}mini, pi\n/);
});

test('simulate --here goes by what is used besides, by who roams, and by the waiting times of the policy', async t => {
  const [imac, nas, ...laptops] = ['imac', 'nas', 'ann', 'bob'].map((name, i): HostReport => {
    const id = i === 0 ? HOST : (`${i + 1}`.repeat(32) as HostId);
    const store = {
      id: `${i + 5}`.repeat(32) as StoreId,
      path: '/srv',
      lentBytes: 1_000_000_000,
      usedBytes: 9_000_000,
      mounted: true,
    };
    return hostOf({ name, id, domain: id, self: i === 0, roaming: i > 1, stores: i === 0 ? [] : [store] });
  }) as [HostReport, HostReport, ...HostReport[]];
  const placements = Array.from({ length: 20 }, (_, i) => {
    // Of one there is a copy too many.
    const holders =
      i > 0 ? [] : [nas, ...laptops].map(({ id, stores }) => ({ host: id, store: stores[0]?.id as StoreId }));
    return placementOf(i, { holders });
  });
  const stateDir = await serve(t, {
    hosts: async () => [imac, nas, ...laptops],
    timing: async () => ({ ...DEFAULT_TIMING, surplusMs: 5 * 3_600_000 }),
    placements: () => each(...placements),
  });
  const { code, out } = await cluster(['--state', stateDir, 'simulate', '--here', '--json']);
  t.is(code, 0);
  const records = recordsOf(out);
  t.like(
    records.find(({ name }) => name === 'nas'),
    { copies: 20, used: 28_000_000 },
  );
  const phase = records.find(({ what }) => what === 'as it is');
  t.like(phase, { short: 0, over: 0 });
  t.true((phase?.seconds as number) >= 5 * 3_600);
});
