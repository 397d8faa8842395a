/** Questions: what hosts ask each other over streams, and the answers. */
import type { ConfigMark } from '../src/core/cluster-config.js';
import type { FrameNumber } from '../src/core/frame-window.js';
import type { GrantAnswer } from '../src/core/grant.js';
import type { LogPosition } from '../src/core/holdings-log.js';
import type { HostId, Nonce, ParcelId, StoreId } from '../src/core/ids.js';
import type { Heartbeat } from '../src/core/messages.js';
import type { HeadModel } from './catalog-model.js';
import type { SignedConfig } from './host-disk.js';
import type { LogTelling } from './store-log.js';

/** The question of a host that wants to catch up. */
export interface StateQuestion {
  readonly from: HostId;
  readonly logs: ReadonlyMap<StoreId, LogPosition>;
  /** The last gossip frame that the asker has heard from the host it asks. */
  readonly yourFrame: FrameNumber | undefined;
}

export interface StateAnswer {
  /** Undefined in an answer to an untrusted host. */
  readonly heartbeat: Heartbeat | undefined;
  readonly logs: readonly (LogTelling & { readonly relayed: boolean })[];
  readonly heads: readonly HeadModel[];
  /** How far the answering host has read the asker's own logs. */
  readonly yours: readonly LogPosition[];
  /** The last gossip frame that the answering host has heard from the asker. */
  readonly yourFrame: FrameNumber | undefined;
  readonly config: SignedConfig;
}

export type FetchAnswer =
  | { readonly kind: 'busy' }
  | { readonly kind: 'gone' }
  /** The bytes under the parcel's name, right or wrong; call `ended` when the transfer is over. */
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

/** A grant that was once on the network. */
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
