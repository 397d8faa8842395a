/**
 * Scrub: reads every copy in this host's stores now and compares it with its hash. The service does the same by itself
 * once per `scrub` interval (scrub-walk.ts), so this is for a person who does not want to wait: after a fall, a power
 * cut, a disk that clicks. It always begins anew, and has no limit but the disks.
 *
 * What is wrong no longer counts from then on, and is fetched again (store.ts, dropper.ts). Each disk reads one parcel
 * at a time, beside whatever else the host does. The disks are read at the same time, so that one that hangs does not
 * delay the verdict on the others. Nobody audits the heads, snapshots and pages that a store keeps, so they are read
 * here too. Where one is damaged, the head is written there again with everything that it lists.
 */
import type { Head } from '../catalog/head.js';
import { decodeSnapshot } from '../catalog/snapshot.js';
import type { Nonce, ObjectId, ParcelId, SourceId } from '../core/ids.js';
import type { Store } from '../store/store.js';
import type { Dropper } from './dropper.js';
import type { AbsentStore, ScrubReport } from './service.js';

export interface ScrubOptions {
  readonly stores: () => Iterable<Store>;
  /** Stores in the policy that are not mounted now. */
  readonly absentStores: () => readonly AbsentStore[];
  readonly reader: Pick<Dropper, 'possess'>;
  /** 0 for a parcel that nobody wants any longer. */
  readonly bytesOf: (parcel: ParcelId) => number;
  readonly nonce: () => Nonce;
  /** `undefined` for bytes that no origin has signed as this head. */
  readonly headFrom: (source: SourceId, sealed: Uint8Array | undefined) => Head | undefined;
  /** Called when a store's disk hangs or is gone; the reports on its parcels then say so too. */
  readonly onCatalogUnread: (store: Store, error: unknown) => void;
  /** Writes the head in force to the store again, with what it lists. Never rejects. */
  readonly renewHead: (store: Store, source: SourceId) => Promise<void>;
}

/** Reports the progress after each parcel; the last report is the verdict. */
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

/** Yields when `report` has changed. */
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
    // Otherwise it was rightly dropped meanwhile.
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

/** Yields whenever one of them does, at the pace at which it is asked. */
async function* sideBySide(all: readonly AsyncGenerator<void>[]): AsyncGenerator<void> {
  const step = async (one: AsyncGenerator<void>) => ({ one, isOver: (await one.next()).done === true });
  const steps = new Map<AsyncGenerator<void>, ReturnType<typeof step>>();
  const begin = (one: AsyncGenerator<void>): void => {
    const begun = step(one);
    begun.catch(() => {}); // thrown below, unless nobody asks any longer
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

/**
 * For each of its heads: how many of the head itself and of the snapshots and pages that it lists are damaged or gone.
 */
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
