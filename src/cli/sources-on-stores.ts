/**
 * Sources on stores: what bare stores know of sources, from the heads and the configuration that lie on them.
 *
 * Each store keeps the newest head that it was given, so one that was unplugged for a year has an old one. All that can be
 * trusted count together: what an old head listed may be the last thing that is whole here.
 */
import { decodeHead, verifyHead } from '../catalog/head.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { BadSignature } from '../catalog/sealed-object.js';
import { decodeSnapshot, type Snapshot, type SnapshotId, verifySnapshot } from '../catalog/snapshot.js';
import type { SourceSpec } from '../catalog/source-spec.js';
import { ClusterError } from '../core/fault.js';
import { type HostId, type SourceId, splitSourceId } from '../core/ids.js';
import { type FoundConfiguration, readFoundVersion } from '../membership/found-configuration.js';
import type { BareStores, NamedStore } from '../store/bare-stores.js';

export interface KnownSnapshot {
  readonly id: SnapshotId;
  readonly timeMs: number;
}

export interface SourceOnStores {
  readonly id: SourceId;
  /** As people name it: by its own name where no other has that, else `host/name`. */
  readonly name: string;
  /** The origin's name; its id where no configuration names it. */
  readonly origin: string;
  /** Oldest first. */
  readonly snapshots: readonly KnownSnapshot[];
  /** Somebody's key said that they are by their origin. */
  readonly isVerified: boolean;
}

export interface StoresContent {
  readonly configuration: FoundConfiguration | undefined;
  /** By name. */
  readonly sources: readonly SourceOnStores[];
}

type KeyOf = (source: SourceId) => Uint8Array | undefined;
type Found = Map<SourceId, Map<SnapshotId, KnownSnapshot & { readonly firstSeq: number }>>;

export async function lookInto(stores: BareStores, signal: AbortSignal): Promise<StoresContent> {
  const configuration = await newestConfiguration(stores);
  const keyOf = keysIn(configuration);
  const hosts = new Map(configuration?.hosts.map(one => [one.host, one]));
  const nameOf = (host: HostId): string => hosts.get(host)?.name ?? host;

  const found: Found = new Map();
  for (const store of stores.stores) await addHeads(found, { stores, store, keyOf });
  // A head that is lost or damaged must not be the end of what it listed.
  const sought = [...found].filter(([, { size }]) => size === 0).map(([source]) => source);
  if (found.size === 0 || sought.length > 0) await addSnapshots(found, { stores, sought, keyOf, signal });
  const names = [...found.keys()].map(id => splitSourceId(id).source);
  const sources = Array.from(found, ([id, snapshots]): SourceOnStores => {
    const { origin, source } = splitSourceId(id);
    const isOnly = names.filter(name => name === source).length === 1;
    return {
      id,
      name: isOnly ? source : `${nameOf(origin)}/${source}`,
      origin: nameOf(origin),
      // Of two of one time, the later one is a re-cut: it stands for the other, of which something can be had from nobody.
      snapshots: [...snapshots.values()].sort(
        (a, b) => a.timeMs - b.timeMs || a.firstSeq - b.firstSeq || (a.id < b.id ? -1 : 1),
      ),
      isVerified: keyOf(id) !== undefined,
    };
  });
  return { configuration, sources: sources.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

const keysIn = (configuration: FoundConfiguration | undefined): KeyOf => {
  const keys = new Map(configuration?.hosts.map(({ host, key }) => [host, key]));
  return source => keys.get(splitSourceId(source).origin);
};

/** All snapshots of these sources that lie here: their origin may have unlisted some while it was in foreign hands. */
export async function searchSnapshots(
  stores: BareStores,
  { configuration }: StoresContent,
  { sources, signal }: { readonly sources: readonly SourceOnStores[]; readonly signal: AbortSignal },
): Promise<ReadonlyMap<SourceId, readonly KnownSnapshot[]>> {
  const found: Found = new Map();
  const sought = sources.map(({ id }) => id);
  await addSnapshots(found, { stores, sought, keyOf: keysIn(configuration), signal });
  return new Map(Array.from(found, ([source, snapshots]) => [source, [...snapshots.values()]]));
}

/** The sources that have a head there, and what is listed by those that can be trusted. */
async function addHeads(
  found: Found,
  { stores, store, keyOf }: { readonly stores: BareStores; readonly store: NamedStore; readonly keyOf: KeyOf },
): Promise<void> {
  for (const source of (await readable(stores, store, 'the list of heads', () => store.heads())) ?? []) {
    const known = found.get(source) ?? new Map();
    found.set(source, known);
    const head = await readable(stores, store, `the head of ${source}`, async () => {
      const sealed = await store.head(source);
      if (sealed === undefined) return undefined;
      const key = keyOf(source);
      const read = key === undefined ? decodeHead(sealed) : verifyHead(sealed, key);
      if (read.source !== source) throw new Error(`it is the head of another source, ${read.source}`);
      return read;
    });
    for (const listed of head?.snapshots ?? []) known.set(listed.id, listed);
  }
}

interface Search {
  readonly stores: BareStores;
  /** The sources whose snapshots are looked for; none: all. */
  readonly sought: readonly SourceId[];
  readonly keyOf: KeyOf;
  readonly signal: AbortSignal;
}

/** All objects are read: that one is a snapshot can be told from its bytes alone. */
async function addSnapshots(found: Found, { stores, sought, keyOf, signal }: Search): Promise<void> {
  const isSought = (source: SourceId): boolean => sought.length === 0 || sought.includes(source);
  for (const store of stores.stores) {
    await readable(stores, store, 'the catalog', async () => {
      for await (const id of store.objects.ids()) {
        if (signal.aborted) return;
        const sealed = await store.objects.get(id);
        const snapshot = sealed === undefined ? undefined : asSnapshot(sealed, keyOf);
        if (snapshot === undefined || !isSought(snapshot.source)) continue;
        const known = found.get(snapshot.source) ?? new Map();
        found.set(snapshot.source, known.set(id, { id, timeMs: snapshot.timeMs, firstSeq: 1 }));
      }
    });
    signal.throwIfAborted();
  }
}

/** `undefined`: another kind of object, or not by whom it says. */
function asSnapshot(sealed: Uint8Array, keyOf: KeyOf): Snapshot | undefined {
  try {
    const snapshot = decodeSnapshot(sealed);
    const key = keyOf(snapshot.source);
    return key === undefined ? snapshot : verifySnapshot(sealed, key);
  } catch (error) {
    if (error instanceof MalformedObject || error instanceof BadSignature) return undefined;
    throw error;
  }
}

/** What cannot be read of one store is told, and the others are asked. */
async function readable<T>(
  stores: BareStores,
  store: NamedStore,
  what: string,
  reading: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await reading();
  } catch (error) {
    stores.damaged(store, what, error);
    return undefined;
  }
}

async function newestConfiguration(stores: BareStores): Promise<FoundConfiguration | undefined> {
  let newest: FoundConfiguration | undefined;
  for (const store of stores.stores) {
    const versions = await readable(stores, store, 'the list of configurations', () => store.configVersions());
    for (const version of versions?.reverse() ?? []) {
      if (version <= (newest?.version ?? 0)) break;
      const found = await readable(stores, store, `configuration ${version}`, async () => {
        const raw = await store.config(version);
        return raw === undefined ? undefined : readFoundVersion(raw, stores.cluster);
      });
      if (found === undefined) continue;
      newest = found;
      break;
    }
  }
  return newest;
}

/**
 * The source that a person named. HOST may be a host's name, or the first digits of its id.
 *
 * @param hint added to a refusal
 * @throws ClusterError SOURCE_UNKNOWN, SOURCE_AMBIGUOUS
 */
export function sourceNamed(
  { host, source }: Pick<SourceSpec, 'host' | 'source'>,
  sources: readonly SourceOnStores[],
  hint: string,
): SourceOnStores {
  const ofName = sources.filter(({ id }) => splitSourceId(id).source === source);
  const byName = ofName.filter(({ origin }) => host === undefined || origin === host);
  const found =
    byName.length > 0 || host === undefined
      ? byName
      : ofName.filter(({ id }) => splitSourceId(id).origin.startsWith(host));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const name = host === undefined ? source : `${host}/${source}`;
  const what = only === undefined ? 'these stores know no source' : 'several hosts have a source';
  throw new ClusterError(
    only === undefined ? 'SOURCE_UNKNOWN' : 'SOURCE_AMBIGUOUS',
    `${what} ${JSON.stringify(name)}; there are: ${sources.map(one => one.name).join(', ')}${hint}`,
    { blame: 'operator' },
  );
}
