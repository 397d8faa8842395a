/**
 * Host disk: all that a host keeps over a restart: its state folder and its stores. Whatever is in here is durable; what
 * is only on its way is in the store's `underWay` or in an event that a crash makes void.
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

/** A configuration with what its forks are decided by. */
export interface SignedConfig extends ClusterConfig {
  readonly parent: SignedConfig | undefined;
  readonly signer: HostId;
  readonly admins: readonly { readonly key: HostId }[];
  readonly revoked: readonly { readonly peer: HostId }[];
}

/** A snapshot that was seen listed, and is not let go yet. */
export interface KeptSnapshot extends SeenSnapshot {
  readonly snapshot: SnapshotModel;
}

export interface GossipFrame extends FrameNumber {
  /** What tells two machines or two images of one number apart. */
  readonly bootId: string;
}

export class HostDisk {
  /** How often the service has started. */
  boot = 0;
  /** When that was raised to what others had heard, by the wall clock; undefined: never. */
  bootRaisedMs: number | undefined;
  /** The service's running time of all its starts, as last written down. */
  ranMs = 0;
  /** … and when that was, by the world's time; undefined: never. */
  ranUntilMs: number | undefined;
  config: SignedConfig;
  /** The newest heads that were in force. */
  readonly heads = new Map<SourceId, HeadModel>();
  /** Of its own sources, the newest that it signed or took over. */
  readonly history = new Map<SourceId, HeadModel>();
  readonly kept = new Map<SourceId, readonly KeptSnapshot[]>();
  readonly unwanted = new Map<ParcelId, number>();
  /** By host, store and parcel. */
  readonly unanswered = new Map<string, UnansweredAudit>();
  absences: { readonly absence: PastAbsence; readonly notedMs: number }[] = [];
  /** How far other stores' logs have been read. */
  readonly archive = new Map<StoreId, PlaceInLog>();
  /** The last gossip frame of each writer. */
  readonly frames = new Map<HostId, GossipFrame>();
  /** How far the index has followed each own store's log. */
  readonly index = new Map<StoreId, LogPosition>();
  /** … and at which start it saw the store last. */
  readonly indexBoot = new Map<StoreId, number>();
  readonly state = new StateDisk();
  stores: StoreDisk[] = [];
  /** Only a mutant writes here: deletions that a restart is to carry out. */
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
    image.stores = this.stores.map(store => store.image());
    return image;
  }
}
