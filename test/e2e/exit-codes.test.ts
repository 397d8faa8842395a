/** Exit codes: the contract of deploy/COMMANDS.md, by commands on real services. */
import { join } from 'node:path';
import test from 'ava';
import { RealCluster, type RealHost } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

test('what a command names and is not there, or not alone, or for another host, is 2; a source without a snapshot is 1, and 22 for a drill', async t => {
  const cluster = new RealCluster(t);
  const [imac, mini] = await cluster.found(['imac', 'mini']);
  const photos = cluster.makeFolder('photos');
  makePlainTree(photos, { files: 2, name: 'files' });
  const store = cluster.makeFolder('store');
  const none = () => ({ path: cluster.path('not-there') });
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      imac: { sources: { photos: { path: photos }, empty: none(), docs: none() } },
      mini: { stores: [{ path: store }], sources: { docs: none() } },
    },
  });
  await imac.ok('backup', 'photos', '--wait', '--timeout', '60s');
  const target = cluster.path('target');

  const ended = async (host: RealHost, wanted: readonly (readonly [code: number, line: string])[]): Promise<void> => {
    const found: (readonly [number | null, string])[] = [];
    const errors: string[] = [];
    for (const [, line] of wanted) {
      const { code, err } = await host.run(...line.split(' '));
      found.push([code, line]);
      errors.push(`${line}: ${code} ${err}`);
    }
    t.deepEqual(found, wanted, errors.join(''));
  };
  await ended(imac, [
    [2, 'init --name other'],
    [2, 'backup nosuch'],
    [2, 'backup docs'],
    [2, 'snapshots nosuch'],
    [2, 'ls nosuch'],
    [2, 'ls docs'],
    [2, 'ls photos@ffffffff'],
    [2, 'ls photos@2001-01-01'],
    [2, 'ls photos:nosuch'],
    [1, 'ls empty'],
    [2, 'dump photos:nosuch'],
    [2, 'diff photos@ffffffff'],
    [2, 'diff photos:nosuch'],
    [2, 'ls-replicas nosuch'],
    [2, 'ls-replicas photos:nosuch'],
    [2, 'ls-replicas --host nosuch'],
    [2, `restore nosuch --target ${target}`],
    [2, `restore docs --target ${target}`],
    [2, `restore photos@ffffffff --target ${target}`],
    [2, `restore photos:nosuch --target ${target}`],
    [1, `restore empty --target ${target}`],
    [2, `restore nosuch --from-store ${store} --target ${target}`],
    [2, `restore photos@ffffffff --from-store ${store} --target ${target}`],
    [2, `restore photos:nosuch --from-store ${store} --target ${target}`],
    [2, `ls photos --from-store ${photos}`],
    [2, 'forget nosuch --keep-last 1'],
    [2, 'forget photos --archived --yes'],
    [2, 'tree nosuch'],
    [2, 'tree photos'],
    [2, `tree photos --store ${target}`],
    [2, 'drain nosuch'],
    [2, `drain mini:${store}/nosuch`],
    [2, 'revoke nosuch --yes'],
    [2, `config add-store nosuch ${target}`],
    [2, `config add-store mini ${store}`],
    [2, `config add-source nosuch more ${photos}`],
    [2, `config add-source imac photos ${photos}`],
    [2, `config apply ${join(target, 'nosuch.yaml')}`],
    [2, 'simulate --here --remove nosuch'],
    [2, 'drill nosuch'],
    [2, 'drill docs'],
    [22, 'drill empty'],
    [22, 'drill imac/docs'],
    [22, 'drill'],
    [0, 'drill photos'],
  ]);
  await ended(mini, [
    [2, 'diff photos'],
    [2, 'forget photos'],
  ]);
});
