/**
 * Policy: what the cluster should do, as all hosts read it: which folders, how many copies, which disks lend how much.
 * It is complete, with every default filled in. parse-policy.ts reads it from the text that its author wrote.
 */
import type { Timing } from '../core/cluster-config.js';
import type { Schedule } from './schedule.js';

/** How many snapshots of each kind retention keeps; 0 keeps none of that kind. */
export interface KeepRules {
  readonly last: number;
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
  readonly yearly: number;
}

export type Lending =
  /** Use at most this much of the disk. */
  | { readonly kind: 'limit'; readonly bytes: number }
  /** Leave at least this much of the disk free. */
  | { readonly kind: 'reserve'; readonly bytes: number }
  /** Leave at least this share of the whole disk free. Percent, 0 to 99. Default: 10. */
  | { readonly kind: 'reserve-share'; readonly percent: number };

export interface StoreSetting {
  readonly path: string;
  readonly name: string | undefined;
  readonly lends: Lending;
  /** Its copies do not count and are made elsewhere, so that the store can leave; it serves them until then. */
  readonly draining: boolean;
}

export interface SourceSetting {
  readonly name: string;
  readonly path: string;
  readonly copies: number;
  readonly schedule: Schedule;
  /** Take a snapshot after each change as well. */
  readonly watch: boolean;
  /** Its snapshots are delayed by a constant share of this. */
  readonly jitterMs: number;
  /** Patterns as in .gitignore, relative to the source's root. */
  readonly exclude: readonly string[];
  readonly keep: KeepRules;
  /** Days for which holders keep a snapshot whatever later heads say. Undefined: the catalog's own rule. */
  readonly holdDays: number | undefined;
  /**
   * When more than this share of the files is gone or changed at once, in percent, retention stops until a person has
   * looked.
   */
  readonly brakePercent: number;
  /** Names of programs in the hooks folder of the source's host. */
  readonly hooks: {
    readonly before: string | undefined;
    readonly after: string | undefined;
    readonly onFailure: string | undefined;
    /** For each of the hooks. */
    readonly timeoutMs: number;
  };
  readonly crossMounts: boolean;
}

export interface HostSetting {
  readonly name: string;
  readonly domain: string | undefined;
  readonly roaming: boolean;
  /**
   * `full`: keep the records of all parcels. `ask`: only those of the host's own copies and sources. Undefined: full
   * where the state folder's disk is large enough.
   */
  readonly catalog: 'full' | 'ask' | undefined;
  /** Multiaddrs that replace those with which the host joined. Undefined: none given. */
  readonly addresses: readonly string[] | undefined;
  readonly stores: readonly StoreSetting[];
  readonly sources: readonly SourceSetting[];
  readonly limits: LimitsSetting;
}

/** What a host may send and receive in fetches, in bytes a second. Undefined: no limit. */
export interface RatesSetting {
  readonly uploadBytesPerS: number | undefined;
  readonly downloadBytesPerS: number | undefined;
}

/** For all other hosts together; and lower limits for single hosts, by name. */
export interface LimitsSetting extends RatesSetting {
  readonly peers: ReadonlyMap<string, RatesSetting>;
}

export interface Policy {
  /** The cluster's name, for people. Its id is what counts. */
  readonly cluster: string;
  readonly copies: number;
  readonly hosts: ReadonlyMap<string, HostSetting>;
  readonly timing: Timing;
}
