/**
 * Host disk: everything that a host keeps over a restart: its state folder and its stores. Everything in here is
 * durable; writes that are still on their way are in the store's `underWay`, or in an event that a crash voids.
 */
import type { ClusterConfig } from '../src/core/cluster-config.js';
import type { PastAbsence, UnansweredAudit } from '../src/core/effects.js';
import type { FrameNumber } from '../src/core/frame-window.js';
import type { SeenSnapshot } from '../src/core/hold.js';
import type { LogPosition } from '../src/core/holdings-log.js';
import type { HostId, ParcelId, SourceId, StoreId } from '../src/core/ids.js';
import type { HeadModel, SnapshotModel } from './catalog-model.js';
import type { PlaceInLog } from './log-registry.js';
import { StateDisk } from './state-disk.js';
import type { StoreDisk } from './store-disk.js';

/** A configuration with what decides its forks. */
export interface SignedConfig extends ClusterConfig {
  readonly parent: SignedConfig | undefined;
  readonly signer: HostId;
  readonly admins: readonly { readonly key: HostId }[];
  readonly revoked: readonly { readonly peer: HostId }[];
}

/** A snapshot that was seen listed, and has not been released. */
export interface KeptSnapshot extends SeenSnapshot {
  readonly snapshot: SnapshotModel;
}

export interface GossipFrame extends FrameNumber {
  /** Tells apart two machines, or two images, with the same numbers. */
  readonly bootId: string;
}

export class HostDisk {
  /** How often the service has started. */
  boot = 0;
  /** When `boot` was last raised because of what others had heard, by the wall clock; undefined: never. */
  bootRaisedMs: number | undefined;
  /** The service's running time over all its starts, as last written down. */
  ranMs = 0;
  /** When `ranMs` was written down, by the world's time; undefined: never. */
  ranUntilMs: number | undefined;
  config: SignedConfig;
  /** The newest heads that were put in force. */
  readonly heads = new Map<SourceId, HeadModel>();
  /** For its own sources, the newest head that it signed or adopted. */
  readonly history = new Map<SourceId, HeadModel>();
  readonly kept = new Map<SourceId, readonly KeptSnapshot[]>();
  readonly unwanted = new Map<ParcelId, number>();
  /** Of which the disk refused the last note. */
  readonly notNoted = new Set<ParcelId>();
  /** By host, store and parcel. */
  readonly unanswered = new Map<string, UnansweredAudit>();
  absences: { readonly absence: PastAbsence; readonly notedMs: number }[] = [];
  /** How far other stores' logs have been read. */
  readonly archive = new Map<StoreId, PlaceInLog>();
  /** The last gossip frame of each writer. */
  readonly frames = new Map<HostId, GossipFrame>();
  /** How far the index has followed the log of each of its own stores. */
  readonly index = new Map<StoreId, LogPosition>();
  /** The start at which the index last saw each store. */
  readonly indexBoot = new Map<StoreId, number>();
  readonly state = new StateDisk();
  stores: StoreDisk[] = [];
  /** Written only by a mutant: deletions that a restart is to carry out. */
  readonly queuedDeletions: { readonly store: StoreId; readonly parcel: ParcelId }[] = [];

  constructor(config: SignedConfig) {
    this.config = config;
  }

  image(): HostDisk {
    const image = new HostDisk(this.config);
    image.boot = this.boot;
    image.bootRaisedMs = this.bootRaisedMs;
    image.ranMs = this.ranMs;
    image.ranUntilMs = this.ranUntilMs;
    image.absences = [...this.absences];
    for (const [to, from] of [
      [image.heads, this.heads],
      [image.history, this.history],
      [image.kept, this.kept],
      [image.unwanted, this.unwanted],
      [image.unanswered, this.unanswered],
      [image.archive, this.archive],
      [image.frames, this.frames],
      [image.index, this.index],
      [image.indexBoot, this.indexBoot],
    ] as const) {
      for (const [key, value] of from) (to as Map<unknown, unknown>).set(key, value);
    }
    for (const parcel of this.notNoted) image.notNoted.add(parcel);
    image.stores = this.stores.map(store => store.image());
    return image;
  }
}
