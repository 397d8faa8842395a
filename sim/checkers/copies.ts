/**
 * Copies: checks that no copy vanishes by itself. Every intact copy that was ever durably announced must still exist,
 * unless it was dropped or expired, which other checkers watch, or a fault took it.
 *
 * The check at each event (I1) is triggered by `del`; this one finds copies that went without a `del`. It looks at all
 * disks, and only in full checks.
 */
import type { ParcelId } from '../../src/core/ids.js';
import type { Happening } from '../happening.js';
import type { SimHost } from '../sim-host.js';
import type { StoreDisk } from '../store-disk.js';
import { Violation } from '../violation.js';
import type { Checker } from './checker.js';

export class CopyChecker implements Checker {
  readonly #due = new Map<SimHost, Map<StoreDisk, Set<ParcelId>>>();

  see(happening: Happening): void {
    switch (happening.is) {
      case 'durable': {
        const { host, store, op } = happening;
        if (op.op === 'head') return;
        const due = this.#of(host, store);
        if (op.op === 'add' && store.keeps(op.parcel)) due.add(op.parcel);
        else due.delete(op.parcel);
        return;
      }
      case 'injected-loss':
        for (const due of this.#due.get(happening.host)?.values() ?? []) due.delete(happening.parcel);
        return;
      case 'disk-replaced':
        this.#replaced(happening.host);
        return;
      default:
        return;
    }
  }

  #of(host: SimHost, store: StoreDisk): Set<ParcelId> {
    const stores = this.#due.get(host) ?? new Map<StoreDisk, Set<ParcelId>>();
    this.#due.set(host, stores);
    const due = stores.get(store) ?? new Set();
    stores.set(store, due);
    return due;
  }

  #replaced(host: SimHost): void {
    this.#due.delete(host);
    for (const store of host.stores)
      for (const parcel of store.held()) if (store.keeps(parcel)) this.#of(host, store).add(parcel);
  }

  full(): void {
    for (const [host, stores] of this.#due) {
      if (host.lost) continue;
      for (const [store, due] of stores) {
        for (const parcel of due) {
          if (store.keeps(parcel)) continue;
          throw new Violation('I1', `the copy of ${parcel.slice(0, 8)} at h${host.number} went without a drop`);
        }
      }
    }
  }
}
