/** Snapshots of made-up entries: all of taking one but the scan. */
import { tmpdir } from 'node:os';
import { cutMarkOf } from '../../src/catalog/cut.js';
import type { Entry } from '../../src/catalog/entry.js';
import { ScanMerge } from '../../src/catalog/merge-scan.js';
import { ParcelBuilder } from '../../src/catalog/parcel-builder.js';
import { comparePaths } from '../../src/catalog/path-order.js';
import { encodeSnapshot, type SnapshotId } from '../../src/catalog/snapshot.js';
import { SnapshotParcels } from '../../src/catalog/snapshot-parcels.js';
import { hashHex } from '../../src/core/hash.js';
import type { BlobId } from '../../src/core/ids.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { BARE_SNAPSHOT } from './bare-snapshot.js';
import type { KeptObjects } from './kept-objects.js';
import { aSource } from './scratch-source.js';

const signer = signerFromSeed(generateKeyPair().seed);

export function aFile(
  path: string | Buffer,
  { size = 100_000, content = path.toString() }: { readonly size?: number; readonly content?: string } = {},
): Entry {
  return {
    path: Buffer.from(path),
    kind: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    user: '',
    group: '',
    mtimeNs: 1_700_000_000_000_000_000n,
    size,
    blob: hashHex(Buffer.from(`${content} ${size}`)) as BlobId,
    target: undefined,
    link: undefined,
    device: 0n,
    xattrs: [],
    stale: false,
    mount: false,
  };
}

export const aFolder = (path: string, change: Partial<Entry> = {}): Entry => ({
  ...aFile(path, { size: 0 }),
  kind: 'directory',
  mode: 0o755,
  blob: undefined,
  ...change,
});

export async function snapshotOf(
  objects: KeptObjects,
  entries: readonly Entry[],
  previous?: SnapshotId,
): Promise<SnapshotId> {
  const sorted = [...entries].sort((a, b) => comparePaths(a.path, b.path));
  const before = previous === undefined ? undefined : await SnapshotParcels.open(objects, previous);
  const builder = await ParcelBuilder.create({
    source: aSource,
    objects,
    previous: before,
    day: 0,
    scratchFolder: tmpdir(),
    signal: undefined,
  });
  const merge = new ScanMerge({ previous: before, acceptMissing: false, isLeftOut: () => false });
  const items = sorted.map(entry => ({ kind: 'entry', entry, mark: cutMarkOf(entry), hidden: false }) as const);
  for await (const merged of merge.merge(items)) await builder.add(merged);
  const { pages } = await builder.end();
  await builder.close();
  const stale = entries.filter(entry => entry.stale).length;
  return objects.put(encodeSnapshot({ ...BARE_SNAPSHOT, source: aSource, stale, pages }, signer));
}

export const photos = (
  count: number,
  change: (name: string, index: number) => Entry = name => aFile(name, { size: 3_000 }),
): Entry[] =>
  Array.from({ length: count }, (_, index) => change(`year${index % 10}/month${index % 120}/img${index}.jpg`, index));
