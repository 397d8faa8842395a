/**
 * The main job: real hosts keep N copies of a real folder, and give it back byte for byte when its origin is gone.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies } from '../helpers/count-copies.js';
import { whyNoXattrs } from '../helpers/raw-xattrs.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { awkwardHouse } from './awkward-house.js';
import { SPARSE } from './awkward-tree.js';

test.serial('a folder with everything awkward in it comes back the same when its origin is gone', async t => {
  const cluster = new RealCluster(t);
  const { source, stores, hosts } = await awkwardHouse(t, cluster, { lenders: ['b', 'c'], others: ['d'] });

  // Not by the program's word: by what lies on the disks.
  const contents = await contentsOf(source);
  const { copies, wrong } = await countCopies(stores);
  t.deepEqual(wrong, []);
  t.deepEqual(
    [...contents.keys()].filter(hash => copies.get(hash)?.hosts.length !== 2),
    [],
    'every content lies on both hosts',
  );
  t.deepEqual(
    [...copies.keys()].filter(hash => !contents.has(hash)),
    [],
    'and nothing else does',
  );

  // The one that restores lends nothing and holds nothing: all that it gives comes from the two.
  const d = cluster.host('d');
  await d.sees('a snapshot that is protected', ({ sources }) => sources[0]?.lastSnapshot?.protected === true);
  await hosts[0].kill();
  const restore = await d.records('restore', 'pics', '--target', cluster.path('out'), '--verify');
  t.like(restore.at(-1), { message_type: 'restore', failed: 0, not_set: 0 });
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
  for (const path of SPARSE) {
    const { size, blocks } = statSync(join(cluster.path('out'), path));
    t.true(blocks * 512 < size / 10, `${path} has its holes`);
  }
  const because = whyNoXattrs();
  if (because !== undefined) t.log(`SKIPPED, no extended attributes were tested: ${because}`);
});
