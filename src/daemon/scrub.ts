/**
 * Scrub: reads every copy in this host's stores and holds it against its hash, now. Audits by other hosts do the same to each copy
 * once in `scrub`, so this is for a person who does not want to wait: after a fall, a power cut, a disk that clicks.
 *
 * What is wrong counts no more from then on and is fetched again (store.ts, dropper.ts). One parcel at a time on each disk, beside
 * whatever else the host does; the disks side by side, for one that hangs must not keep the others from their verdict. Nobody audits
 * the heads, snapshots and pages that a store keeps: they are read here too, and where one is damaged the head is put there again with
 * all that it lists.
 */
import type { Head } from '../catalog/head.js';
import { decodeSnapshot } from '../catalog/snapshot.js';
import type { Nonce, ObjectId, ParcelId, SourceId } from '../core/ids.js';
import type { Store } from '../store/store.js';
import type { Dropper } from './dropper.js';
import type { AbsentStore, ScrubReport } from './service.js';

export interface ScrubOptions {
  readonly stores: () => Iterable<Store>;
  /** Those that the policy has and that are not there now. */
  readonly absentStores: () => readonly AbsentStore[];
  readonly reader: Pick<Dropper, 'possess'>;
  /** 0 for what nobody wants any more. */
  readonly bytesOf: (parcel: ParcelId) => number;
  readonly nonce: () => Nonce;
  /** `undefined` for what no origin has signed so. */
  readonly headFrom: (source: SourceId, sealed: Uint8Array | undefined) => Head | undefined;
  /** Its disk may hang, or be gone: what becomes of its parcels says so too. */
  readonly onCatalogUnread: (store: Store, error: unknown) => void;
  /** Puts the head in force there again, with what it lists. It never rejects. */
  readonly renewHead: (store: Store, source: SourceId) => Promise<void>;
}

/** After each parcel: how far it is; the last one is the verdict. */
export async function* scrub(options: ScrubOptions, signal: AbortSignal): AsyncGenerator<ScrubReport> {
  const { stores, bytesOf } = options;
  const work = [...stores()].map(store => ({ store, parcels: [...store.present()].sort() }));
  const report = {
    stores: work.length,
    parcels: 0,
    bytes: 0,
    ofParcels: 0,
    ofBytes: 0,
    corrupt: 0,
    unread: 0,
    catalog: 0,
    unreadCatalogs: 0,
    absentStores: options.absentStores(),
  };
  for (const { parcels } of work) {
    report.ofParcels += parcels.length;
    for (const parcel of parcels) report.ofBytes += bytesOf(parcel);
  }
  yield { ...report };
  for await (const _ of sideBySide(work.map(ofStore => scrubStore(ofStore, report, options, signal))))
    yield { ...report };
}

type Counts = { -readonly [Count in keyof ScrubReport]: ScrubReport[Count] };

/** Steps when `report` has got further. */
async function* scrubStore(
  { store, parcels }: { readonly store: Store; readonly parcels: readonly ParcelId[] },
  report: Counts,
  options: ScrubOptions,
  signal: AbortSignal,
): AsyncGenerator<void> {
  const { stores, reader, bytesOf, nonce } = options;
  try {
    for await (const damaged of scrubCatalog(store, options, signal)) report.catalog += damaged;
  } catch (error) {
    signal.throwIfAborted();
    options.onCatalogUnread(store, error);
    report.unreadCatalogs += 1;
  }
  yield;
  for (const parcel of parcels) {
    signal.throwIfAborted();
    // Dropped meanwhile, rightly.
    if (store.isPresent(parcel)) {
      const isMounted = [...stores()].includes(store);
      const read = isMounted
        ? await reader.possess({ parcel, store: store.id, nonce: nonce(), holders: [] }, signal)
        : 'unreadable';
      signal.throwIfAborted();
      if (read === 'corrupt') report.corrupt += 1;
      else if (typeof read === 'string' && store.isPresent(parcel)) report.unread += 1;
    }
    report.parcels += 1;
    report.bytes += bytesOf(parcel);
    yield;
  }
}

/** Steps whenever one of them does, at the pace at which it is asked. */
async function* sideBySide(all: readonly AsyncGenerator<void>[]): AsyncGenerator<void> {
  const step = async (one: AsyncGenerator<void>) => ({ one, isOver: (await one.next()).done === true });
  const steps = new Map<AsyncGenerator<void>, ReturnType<typeof step>>();
  const begin = (one: AsyncGenerator<void>): void => {
    const begun = step(one);
    begun.catch(() => {}); // thrown below, unless nobody asks any more
    steps.set(one, begun);
  };
  for (const one of all) begin(one);
  while (steps.size > 0) {
    const { one, isOver } = await Promise.race(steps.values());
    steps.delete(one);
    if (isOver) continue;
    begin(one);
    yield;
  }
}

/** Of each of its heads: how many of it, and of the snapshots and pages that it lists, are damaged or gone. */
async function* scrubCatalog(
  store: Store,
  { headFrom, renewHead }: Pick<ScrubOptions, 'headFrom' | 'renewHead'>,
  signal: AbortSignal,
): AsyncGenerator<number> {
  for (const source of await store.heads()) {
    const head = headFrom(source, await store.head(source));
    const damaged = head === undefined ? 1 : await damagedOf(head, store, signal);
    if (damaged > 0) await renewHead(store, source);
    yield damaged;
  }
}

async function damagedOf(
  { snapshots }: Head,
  { objects }: Pick<Store, 'objects'>,
  signal: AbortSignal,
): Promise<number> {
  let damaged = 0;
  const read = new Set<ObjectId>();
  for (const { id } of snapshots) {
    signal.throwIfAborted();
    const sealed = await objects.get(id);
    if (sealed === undefined) damaged += 1;
    for (const page of sealed === undefined ? [] : decodeSnapshot(sealed).pages) {
      if (read.has(page)) continue;
      read.add(page);
      if ((await objects.get(page)) === undefined) damaged += 1;
    }
  }
  return damaged;
}
