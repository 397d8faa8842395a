/**
 * Sources on stores: what bare stores know of sources, from the heads and the configuration that lie on them.
 *
 * Each store keeps the newest head that it was given, so a store that was unplugged for a year has an old one. All
 * heads that can be trusted count together: what an old head listed may be the only snapshot that is whole here. A
 * source whose head is lost or damaged has the snapshots that lie here. Finding those means reading every object, so it
 * is done only when such a source may be the one that is meant.
 */
import { decodeHead, verifyHead } from '../catalog/head.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { BadSignature, verifyWithOneOf } from '../catalog/sealed-object.js';
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
  /** The origin's keys are known, and have verified that they are the origin's. */
  readonly isVerified: boolean;
}

export interface StoresContent {
  readonly configuration: FoundConfiguration | undefined;
  /** By name. */
  readonly sources: readonly SourceOnStores[];
  /** All snapshots that lie here, listed or not, if they were looked for. */
  readonly all: Found | undefined;
}

type SourceName = Pick<SourceSpec, 'host' | 'source'>;
type KeysOf = (source: SourceId) => readonly Uint8Array[] | undefined;
type Found = Map<SourceId, Map<SnapshotId, KnownSnapshot & { readonly firstSeq: number }>>;

/** @param wanted the source that a person named; undefined: all sources */
export async function lookInto(
  stores: BareStores,
  { wanted, signal }: { readonly wanted: SourceName | undefined; readonly signal: AbortSignal },
): Promise<StoresContent> {
  const configuration = await newestConfiguration(stores);
  const keysOf = keysIn(configuration);
  const hosts = new Map(configuration?.hosts.map(one => [one.host, one]));
  const nameOf = (host: HostId): string => hosts.get(host)?.name ?? host;

  const found: Found = new Map();
  for (const store of stores.stores) await addHeads(found, { stores, store, keysOf });
  const withHeads = sourcesOf(found, { nameOf, keysOf });
  const isFound = wanted !== undefined && matching(wanted, withHeads).length > 0;
  const isSearched = !isFound || withHeads.some(({ snapshots }) => snapshots.length === 0);
  const all = isSearched ? await allSnapshots(stores, keysOf, signal) : undefined;
  for (const [source, snapshots] of all ?? []) if ((found.get(source)?.size ?? 0) === 0) found.set(source, snapshots);
  return { configuration, sources: sourcesOf(found, { nameOf, keysOf }), all };
}

function sourcesOf(
  found: Found,
  { nameOf, keysOf }: { readonly nameOf: (host: HostId) => string; readonly keysOf: KeysOf },
): SourceOnStores[] {
  const names = [...found.keys()].map(id => splitSourceId(id).source);
  const sources = Array.from(found, ([id, snapshots]): SourceOnStores => {
    const { origin, source } = splitSourceId(id);
    const isOnly = names.filter(name => name === source).length === 1;
    return {
      id,
      name: isOnly ? source : `${nameOf(origin)}/${source}`,
      origin: nameOf(origin),
      // Of two with the same time, the later one is a re-cut: it replaces the other, part of which no host can give.
      snapshots: [...snapshots.values()].sort(
        (a, b) => a.timeMs - b.timeMs || a.firstSeq - b.firstSeq || (a.id < b.id ? -1 : 1),
      ),
      isVerified: keysOf(id) !== undefined,
    };
  });
  return sources.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const keysIn = (configuration: FoundConfiguration | undefined): KeysOf => {
  const keys = new Map(configuration?.hosts.map(one => [one.host, one.keys]));
  return source => keys.get(splitSourceId(source).origin);
};

/** All snapshots that lie here, by source: an origin may have unlisted some while a stranger controlled it. */
export async function searchSnapshots(
  stores: BareStores,
  { configuration, all }: StoresContent,
  signal: AbortSignal,
): Promise<ReadonlyMap<SourceId, readonly KnownSnapshot[]>> {
  const found = all ?? (await allSnapshots(stores, keysIn(configuration), signal));
  return new Map(Array.from(found, ([source, snapshots]) => [source, [...snapshots.values()]]));
}

/** Adds the sources that have a head in this store, and the snapshots that its trusted heads list. */
async function addHeads(
  found: Found,
  { stores, store, keysOf }: { readonly stores: BareStores; readonly store: NamedStore; readonly keysOf: KeysOf },
): Promise<void> {
  for (const source of (await readable(stores, store, 'the list of heads', () => store.heads())) ?? []) {
    const known = found.get(source) ?? new Map();
    found.set(source, known);
    const head = await readable(stores, store, `the head of ${source}`, async () => {
      const sealed = await store.head(source);
      if (sealed === undefined) return undefined;
      const keys = keysOf(source);
      const read = keys === undefined ? decodeHead(sealed) : verifyWithOneOf(keys, key => verifyHead(sealed, key));
      if (read.source !== source) throw new Error(`it is the head of another source, ${read.source}`);
      return read;
    });
    for (const listed of head?.snapshots ?? []) known.set(listed.id, listed);
  }
}

/** Reads every object: only its bytes tell whether it is a snapshot. */
async function allSnapshots(stores: BareStores, keysOf: KeysOf, signal: AbortSignal): Promise<Found> {
  const found: Found = new Map();
  for (const store of stores.stores) {
    await readable(stores, store, 'the catalog', async () => {
      for await (const id of store.objects.ids()) {
        if (signal.aborted) return;
        const sealed = await store.objects.get(id);
        const snapshot = sealed === undefined ? undefined : asSnapshot(sealed, keysOf);
        if (snapshot === undefined) continue;
        const known = found.get(snapshot.source) ?? new Map();
        found.set(snapshot.source, known.set(id, { id, timeMs: snapshot.timeMs, firstSeq: 1 }));
      }
    });
    signal.throwIfAborted();
  }
  return found;
}

/** `undefined`: another kind of object, or not signed by the origin that it names. */
function asSnapshot(sealed: Uint8Array, keysOf: KeysOf): Snapshot | undefined {
  try {
    const snapshot = decodeSnapshot(sealed);
    const keys = keysOf(snapshot.source);
    return keys === undefined ? snapshot : verifyWithOneOf(keys, key => verifySnapshot(sealed, key));
  } catch (error) {
    if (error instanceof MalformedObject || error instanceof BadSignature) return undefined;
    throw error;
  }
}

/** Reports what cannot be read in one store, so that the others are still asked. */
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
export function sourceNamed(wanted: SourceName, sources: readonly SourceOnStores[], hint: string): SourceOnStores {
  const found = matching(wanted, sources);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const { host, source } = wanted;
  const name = host === undefined ? source : `${host}/${source}`;
  const what = only === undefined ? 'these stores know no source' : 'several hosts have a source';
  throw new ClusterError(
    only === undefined ? 'SOURCE_UNKNOWN' : 'SOURCE_AMBIGUOUS',
    `${what} ${JSON.stringify(name)}; there are: ${(only === undefined ? sources : found).map(one => one.name).join(', ')}${hint}`,
    { blame: 'operator' },
  );
}

function matching({ host, source }: SourceName, sources: readonly SourceOnStores[]): SourceOnStores[] {
  const ofName = sources.filter(({ id }) => splitSourceId(id).source === source);
  if (host === undefined) return ofName;
  const byName = ofName.filter(({ origin }) => origin === host);
  return byName.length > 0 ? byName : ofName.filter(({ id }) => splitSourceId(id).origin.startsWith(host));
}
