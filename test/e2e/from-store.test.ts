/**
 * The bad hour: every machine is gone with its state, and what is left are disks and this program.
 */
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MARK_FOLDER } from '../../src/catalog/restore-names.js';
import { cluster as command, recordsOf } from '../cli/cli-fixture.js';
import { compareTrees, pathsBelow } from '../helpers/compare-trees.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { awkwardHouse } from './awkward-house.js';

test.serial(
  'disks alone give everything back: two of three give all, one gives what it has and the names of the rest',
  async t => {
    const house = new RealCluster(t);
    const { source, stores, hosts } = await awkwardHouse(t, house, { lenders: ['b', 'c', 'd'] });
    for (const host of hosts) await host.stop();
    for (const { state } of hosts) rmSync(state, { recursive: true });

    // Two copies on three disks: the one with the fewest files cannot have all.
    const paths = stores.map(({ path }) => path).sort((one, other) => blobsIn(one) - blobsIn(other));
    const before = paths.map(listing);

    const all = await command([
      'restore',
      '--from-store',
      ...paths,
      '--target',
      house.path('all'),
      '--verify',
      '--json',
    ]);
    t.deepEqual([all.code, all.err], [0, '']);
    t.like(recordsOf(all.out).at(-1), { message_type: 'restore', source: 'pics', failed: 0, not_set: 0 });
    t.deepEqual(compareTrees(source, house.path('all')), []);

    const [first = '', second = ''] = paths;
    const two = await command(['restore', 'a/pics', '--from-store', first, second, '--target', house.path('two')]);
    t.is(two.code, 0, two.err);
    t.deepEqual(compareTrees(source, house.path('two')), []);

    const one = await command(['restore', 'pics', '--from-store', first, '--target', house.path('one'), '--json']);
    t.is(one.code, 3, one.err);
    t.regex(one.err, /no snapshot of pics is whole on these disks/);
    t.regex(one.err, /also names the stores of [bcd] \(.*\.store\), [bcd] \(.*\.store\)/);
    const problems = recordsOf(one.out).filter(({ message_type: type }) => type === 'problem');
    const missing = [...pathsBelow(source)].filter(path => !pathsBelow(house.path('one')).has(path));
    t.true(missing.length > 0, 'one disk of three lacks something');
    const lacking = problems.filter(({ kind }) => kind === 'lacking');
    t.true(lacking.length > 0);
    t.true(lacking.every(({ because }) => /of which these disks have not even the names/.test(String(because))));
    // What is there is right, but for the folders of which only the content is there.
    const standIns = problems.filter(({ kind }) => kind === 'not-set').map(({ path }) => `${JSON.stringify(path)}: `);
    // The disk may have none of the few parcels: then nothing is known of the target itself.
    if ([...pathsBelow(house.path('one'))].every(path => path === '' || path.startsWith(MARK_FOLDER)))
      standIns.push('"": ');
    const differences = compareTrees(source, house.path('one'), { except: [...missing, MARK_FOLDER] });
    t.deepEqual(
      differences.filter(line => !standIns.some(start => line.startsWith(start))),
      [],
    );

    // The second disk turns up.
    const snapshot = String(recordsOf(one.out).at(-1)?.snapshot);
    const spec = `pics@${snapshot.slice(0, 8)}`;
    const rest = await command(['restore', spec, '--from-store', ...paths, '--target', house.path('one'), '--json']);
    t.deepEqual([rest.code, rest.err], [0, '']);
    t.true(Number(recordsOf(rest.out).at(-1)?.kept) > 0, 'what was there is not written again');
    t.deepEqual(compareTrees(source, house.path('one')), []);

    t.deepEqual(paths.map(listing), before, 'nothing on the disks has changed');
  },
);

const blobsIn = (store: string): number => readdirSync(join(store, '.blobs'), { recursive: true }).length;

/** Every name below a folder, with whatever a write to it would change. */
function listing(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'latin1' }).map(name => {
    const stat = lstatSync(join(root, Buffer.from(name, 'latin1').toString()), { bigint: true, throwIfNoEntry: false });
    return `${name} ${stat?.ino} ${stat?.mode} ${stat?.size} ${stat?.mtimeNs} ${stat?.ctimeNs}`;
  });
}
