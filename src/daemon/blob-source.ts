/**
 * Blob source: blobs of a parcel for a restore, from wherever they are: our own stores first, then holders that are up, one
 * after the other, and the origin's live file last. A holder that goes away in the middle is replaced by the next.
 */

import type { ContentFrame } from '../catalog/restore-content.js';
import { ClusterError } from '../core/fault.js';
import type { BlobId, HostId, ParcelId, PeerName } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import { askFetch } from '../net/fetch-protocol.js';
import type { Net } from '../net/net.js';
import type { OwnStores } from './own-stores.js';
import { pause } from './pause.js';
import type { Roster } from './roster.js';

/** A holder that is busy is asked again after its own word, but not more often than this. */
const BUSY_TRIES_MAX = 20;

export class BlobSource {
  readonly #net: Net;
  readonly #machine: Machine;
  readonly #stores: OwnStores;
  readonly #roster: Roster;

  constructor({
    net,
    machine,
    stores,
    roster,
  }: {
    readonly net: Net;
    readonly machine: Machine;
    readonly stores: OwnStores;
    readonly roster: Roster;
  }) {
    this.#net = net;
    this.#machine = machine;
    this.#stores = stores;
    this.#roster = roster;
  }

  async *content(parcel: ParcelId, blobs: readonly BlobId[], signal: AbortSignal): AsyncGenerator<ContentFrame> {
    const open = new Set<BlobId>();
    for (const blob of blobs) {
      const held = await this.#held(blob);
      if (held === undefined) {
        open.add(blob);
        continue;
      }
      yield { kind: 'start', blob, bytes: held.bytes };
      for await (const data of held.read(signal)) yield { kind: 'data', data };
      yield { kind: 'end' };
    }
    for (const peer of this.#peersWith(parcel)) {
      if (open.size === 0) return;
      try {
        yield* this.#from(peer, parcel, open, signal);
      } catch (error) {
        signal.throwIfAborted();
        // The next holder may do better. What this one began is begun anew.
        if (!(error instanceof ClusterError)) throw error;
      }
    }
    const hosts = this.#machine
      .holders(parcel)
      .map(({ host }) => this.#roster.nameOf(host))
      .sort();
    for (const blob of open) yield { kind: 'unavailable', blob, because: 'no host that is up can give it', hosts };
  }

  async #held(blob: BlobId) {
    for (const store of this.#stores.stores()) {
      const opened = await store.openBlob(blob);
      if (opened !== undefined) return opened;
    }
    return undefined;
  }

  #peersWith(parcel: ParcelId): PeerName[] {
    const connected = new Set(this.#net.connected());
    const holders = this.#machine.holders(parcel).map(({ host }) => host);
    const origin = this.#machine.originOf(parcel);
    const hosts: HostId[] = origin === undefined ? holders : [...holders, origin];
    const peers = hosts.map(host => this.#roster.peerOf(host));
    return [...new Set(peers)].filter((peer): peer is PeerName => peer !== undefined && connected.has(peer));
  }

  async *#from(peer: PeerName, parcel: ParcelId, open: Set<BlobId>, signal: AbortSignal): AsyncGenerator<ContentFrame> {
    for (let tries = 0; tries < BUSY_TRIES_MAX && open.size > 0; tries += 1) {
      let busyMs: number | undefined;
      let current: { readonly blob: BlobId; leftBytes: number } | undefined;
      for await (const part of askFetch(
        this.#net,
        peer,
        { parcel, blobs: [...open], purpose: 'restore' },
        { signal },
      )) {
        switch (part.kind) {
          case 'busy':
            busyMs = part.retryAfterMs;
            break;
          case 'blob':
            current = { blob: part.blob, leftBytes: part.bytes };
            yield { kind: 'start', blob: part.blob, bytes: part.bytes };
            break;
          case 'data':
            yield { kind: 'data', data: part.data };
            if (current !== undefined) current.leftBytes -= part.data.length;
            if (current?.leftBytes === 0) {
              open.delete(current.blob);
              yield { kind: 'end' };
            }
            break;
          case 'gone':
            break;
          default:
            part satisfies never;
        }
      }
      if (busyMs === undefined) return;
      await pause(busyMs, signal);
    }
  }
}
