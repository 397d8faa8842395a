/**
 * Scrub: reads every copy in this host's stores and holds it against its hash, now. Audits by other hosts do the same to each copy
 * once in `scrub`, so this is for a person who does not want to wait: after a fall, a power cut, a disk that clicks.
 *
 * What is wrong counts no more from then on and is fetched again (store.ts, dropper.ts). One parcel at a time, and one disk after
 * the other, beside whatever else the host does.
 */
import type { Nonce, ParcelId } from '../core/ids.js';
import type { Store } from '../store/store.js';
import type { Dropper } from './dropper.js';
import type { ScrubReport } from './service.js';

export interface ScrubOptions {
  readonly stores: () => Iterable<Store>;
  readonly reader: Pick<Dropper, 'possess'>;
  /** 0 for what nobody wants any more. */
  readonly bytesOf: (parcel: ParcelId) => number;
  readonly nonce: () => Nonce;
}

/** After each parcel: how far it is; the last one is the verdict. */
export async function* scrub(
  { stores, reader, bytesOf, nonce }: ScrubOptions,
  signal: AbortSignal,
): AsyncGenerator<ScrubReport> {
  const work = [...stores()].map(store => ({ store, parcels: [...store.present()].sort() }));
  const report = { stores: work.length, parcels: 0, bytes: 0, ofParcels: 0, ofBytes: 0, corrupt: 0, unread: 0 };
  for (const { parcels } of work) {
    report.ofParcels += parcels.length;
    for (const parcel of parcels) report.ofBytes += bytesOf(parcel);
  }
  yield { ...report };
  for (const { store, parcels } of work) {
    for (const parcel of parcels) {
      signal.throwIfAborted();
      // Dropped meanwhile, rightly.
      if (store.isPresent(parcel)) {
        const read = await reader.possess({ parcel, store: store.id, nonce: nonce(), holders: [] }, signal);
        signal.throwIfAborted();
        if (read === 'corrupt') report.corrupt += 1;
        else if (typeof read === 'string' && store.isPresent(parcel)) report.unread += 1;
      }
      report.parcels += 1;
      report.bytes += bytesOf(parcel);
      yield { ...report };
    }
  }
}
