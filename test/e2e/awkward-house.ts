/** Awkward house: a host with everything awkward in a folder, and others that hold its two copies. */
import type { ExecutionContext } from 'ava';
import type { RealCluster, RealHost } from '../helpers/real-cluster.js';
import { makeAwkwardTree } from './awkward-tree.js';

export interface AwkwardHouse {
  readonly source: string;
  readonly stores: readonly { readonly host: string; readonly path: string }[];
  /** `a`, whose folder it is and which lends nothing; then the lenders, then the others. */
  readonly hosts: readonly [RealHost, ...RealHost[]];
}

/** Returns when the source `pics` of `a` is protected. */
export async function awkwardHouse(
  t: ExecutionContext,
  cluster: RealCluster,
  { lenders, others = [] }: { readonly lenders: readonly string[]; readonly others?: readonly string[] },
): Promise<AwkwardHouse> {
  const source = cluster.path('src');
  makeAwkwardTree(source);
  const stores = lenders.map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const hosts = await cluster.found(['a', ...lenders, ...others]);
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      ...Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
    },
  });
  const backup = await hosts[0].records('backup', 'pics', '--wait', '--timeout', '60s');
  t.like(backup.at(-1), { message_type: 'snapshot', protected: true, partial: false });
  return { source, stores, hosts };
}
