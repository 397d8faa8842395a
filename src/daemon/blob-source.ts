/**
 * Blob source: blobs of a parcel for a restore, from wherever they are: our own stores first, then holders that are up, one
 * after the other, and the origin's live file last. A holder that goes away in the middle is replaced by the next.
 */

import type { Logger } from 'pino';
import type { ContentFrame } from '../catalog/restore-content.js';
import { ClusterError } from '../core/fault.js';
import { createHasher, hashHex } from '../core/hash.js';
import { type BlobId, type HostId, hexOf, type ParcelId, type PeerName } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import { askFetch } from '../net/fetch-protocol.js';
import type { Net } from '../net/net.js';
import type { OwnStores } from './own-stores.js';
import { pause } from './pause.js';
import type { Roster } from './roster.js';

/** A holder that is busy is asked again after its own word, but not more often than this. */
const BUSY_TRIES_MAX = 20;
/** Every holder is asked so often before a blob is called unavailable: connections break and come back. */
const ROUNDS = 2;
const ROUND_REST_MS = 2_000;

export class BlobSource {
  readonly #net: Net;
  readonly #machine: Machine;
  readonly #stores: OwnStores;
  readonly #roster: Roster;
  readonly #log: Logger;

  constructor({
    net,
    machine,
    stores,
    roster,
    log,
  }: {
    readonly net: Net;
    readonly machine: Machine;
    readonly stores: OwnStores;
    readonly roster: Roster;
    readonly log: Logger;
  }) {
    this.#net = net;
    this.#machine = machine;
    this.#stores = stores;
    this.#roster = roster;
    this.#log = log;
  }

  async *content(parcel: ParcelId, blobs: readonly BlobId[], signal: AbortSignal): AsyncGenerator<ContentFrame> {
    const open = new Set<BlobId>();
    for (const blob of blobs) if (!(yield* this.#fromHere(blob, signal))) open.add(blob);
    for (let round = 0; round < ROUNDS && open.size > 0; round += 1) {
      if (round > 0) await pause(ROUND_REST_MS, signal);
      for (const peer of this.#peersWith(parcel)) {
        if (open.size === 0) return;
        try {
          yield* this.#from(peer, parcel, open, signal);
        } catch (error) {
          signal.throwIfAborted();
          // The next holder may do better. What this one began is begun anew.
          if (!(error instanceof ClusterError)) throw error;
          this.#log.warn(
            { code: 'HOLDER_FAILED', parcel, peer, err: error },
            'a holder could not give a parcel for a restore',
          );
        }
      }
    }
    const hosts = this.#machine
      .holders(parcel)
      .map(({ host }) => this.#roster.nameOf(host))
      .sort();
    for (const blob of open) yield { kind: 'unavailable', blob, because: 'no host that is up can give it', hosts };
  }

  /** @returns whether a store of ours gave the blob's own bytes: a disk may have lost or changed what it holds. */
  async *#fromHere(blob: BlobId, signal: AbortSignal): AsyncGenerator<ContentFrame, boolean> {
    for (const store of this.#stores.stores()) {
      const check = new BlobCheck(blob);
      try {
        const held = await store.openBlob(blob);
        if (held === undefined) continue;
        yield { kind: 'start', blob, bytes: held.bytes };
        for await (const data of held.read(signal)) {
          check.update(data);
          yield { kind: 'data', data };
        }
        if (check.isRight()) {
          yield { kind: 'end' };
          return true;
        }
        this.#log.error(
          { code: 'BLOB_CHANGED', blob, store: store.id },
          'a blob in a store of ours has other bytes than its name says; another host is asked for it',
        );
      } catch (error) {
        signal.throwIfAborted();
        this.#log.warn(
          { code: 'BLOB_UNREADABLE', blob, store: store.id, err: error },
          'a blob cannot be read here; another host is asked for it',
        );
      } finally {
        check.end();
      }
    }
    return false;
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
      let current: { readonly blob: BlobId; leftBytes: number; readonly check: BlobCheck } | undefined;
      try {
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
              current?.check.end();
              current = { blob: part.blob, leftBytes: part.bytes, check: new BlobCheck(part.blob) };
              yield { kind: 'start', blob: part.blob, bytes: part.bytes };
              break;
            case 'data':
              yield { kind: 'data', data: part.data };
              if (current === undefined) break;
              current.leftBytes -= part.data.length;
              current.check.update(part.data);
              // Bytes that are not the blob's are left without an end: the next peer may have the right ones.
              if (current.leftBytes === 0 && current.check.isRight()) {
                open.delete(current.blob);
                yield { kind: 'end' };
              }
              break;
            case 'pack':
              for (const { blob, content } of part.blobs) {
                yield { kind: 'start', blob, bytes: content.length };
                yield { kind: 'data', data: content };
                if (hashHex(content) !== blob) continue;
                open.delete(blob);
                yield { kind: 'end' };
              }
              break;
            case 'gone':
              break;
            default:
              part satisfies never;
          }
        }
      } finally {
        current?.check.end();
      }
      if (busyMs === undefined) return;
      await pause(busyMs, signal);
    }
  }
}

/** Whether the bytes that went by are a blob's own. */
class BlobCheck {
  readonly #blob: BlobId;
  readonly #hasher = createHasher();
  #ended = false;

  constructor(blob: BlobId) {
    this.#blob = blob;
  }

  update(data: Uint8Array): void {
    if (!this.#ended) this.#hasher.update(data);
  }

  /** Asked once, after the last byte. */
  isRight(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    return hexOf(this.#hasher.digest()) === this.#blob;
  }

  /** Harmless after `isRight`. */
  end(): void {
    if (!this.#ended) this.#hasher.dispose();
    this.#ended = true;
  }
}
