/** Questions: what hosts ask each other over streams, and what they answer. */
import type { ConfigMark } from '../src/core/cluster-config.js';
import type { FrameNumber } from '../src/core/frame-window.js';
import type { GrantAnswer } from '../src/core/grant.js';
import type { LogPosition } from '../src/core/holdings-log.js';
import type { HostId, Nonce, ParcelId, StoreId } from '../src/core/ids.js';
import type { Heartbeat } from '../src/core/messages.js';
import type { HeadModel } from './catalog-model.js';
import type { SignedConfig } from './host-disk.js';
import type { LogTelling } from './store-log.js';

/** What a host asks another that it wants to catch up with. */
export interface StateQuestion {
  readonly from: HostId;
  readonly logs: ReadonlyMap<StoreId, LogPosition>;
  /** The last gossip frame that the asker has heard of whom it asks. */
  readonly yourFrame: FrameNumber | undefined;
}

export interface StateAnswer {
  /** Not for an untrusted host. */
  readonly heartbeat: Heartbeat | undefined;
  readonly logs: readonly (LogTelling & { readonly relayed: boolean })[];
  readonly heads: readonly HeadModel[];
  /** How far the answering host has read the asker's own logs. */
  readonly yours: readonly LogPosition[];
  /** … and the last gossip frame that it has heard of it. */
  readonly yourFrame: FrameNumber | undefined;
  readonly config: SignedConfig;
}

export type FetchAnswer =
  | { readonly kind: 'busy' }
  | { readonly kind: 'gone' }
  /** What lies there under the parcel's name, right or wrong; `ended`: the transfer is over. */
  | {
      readonly kind: 'bytes';
      readonly content: string;
      readonly bytes: number;
      readonly ended: (whole: boolean) => void;
    };

export interface AuditQuestion {
  readonly nonce: Nonce;
  readonly parcel: ParcelId;
}

export interface RelocationOffer {
  readonly from: HostId;
  readonly parcels: readonly ParcelId[];
}

/** A grant that was on the network once. */
export interface CarriedGrant {
  readonly attempt: Nonce;
  readonly from: HostId;
  readonly answer: GrantAnswer;
}

export interface GrantQuestion {
  readonly from: HostId;
  readonly nonce: Nonce;
  readonly parcel: ParcelId;
  readonly config: ConfigMark;
}
