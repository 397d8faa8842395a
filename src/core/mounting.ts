/**
 * Mounting: when a store of ours is opened, is its log believed, or does a new epoch begin?
 *
 * The log says what the store should have, and others count copies by it. So it is in doubt when it is damaged before
 * its end, when it lacks what this host remembers of it, when the boot counters of the marker and of the state folder
 * show that one of the two is an old image, or when others are known to remember more (remembered-logs.ts). Then a new,
 * empty log begins, above every epoch that anybody has seen of the store, and everything in the store is read again
 * before it counts.
 *
 * Pure. Driven by the store's recovery.ts, which reads log and marker, and by the simulator. The boot is written to
 * marker and index afterwards.
 */
import { compareEpochs, type Epoch, type LogPosition } from './holdings-log.js';

export interface MountView {
  /** This start of the service, and the one before it. */
  readonly boot: number;
  readonly previousBoot: number;
  readonly wallMs: number;
  readonly marker: {
    /** The start at which the store was last mounted, or made. */
    readonly boot: number;
    readonly epoch: Epoch;
  };
  readonly log:
    | {
        readonly kind: 'sound';
        readonly end: Pick<LogPosition, 'epoch' | 'seq'>;
        /**
         * The log has the remembered operation, or stands on a checkpoint after it, in which case nobody can check any
         * more.
         */
        readonly hasRemembered: boolean;
      }
    /** `epoch`: if it can be read. */
    | { readonly kind: 'damaged'; readonly epoch: Epoch | undefined };
  readonly remembered: {
    /** The boot of the last mount, and one that was about to be noted; empty if this host does not know the store. */
    readonly boots: readonly number[];
    /** How far this host had followed the log. */
    readonly position: Pick<LogPosition, 'epoch' | 'seq'> | undefined;
  };
  /**
   * Set when others' memory contradicts the log. `counterSeen`: the greatest epoch counter of it that they have shown.
   */
  readonly doubt: { readonly counterSeen: number } | undefined;
}

export type MountVerdict =
  | { readonly act: 'believe' }
  /** `counter`: that of the new epoch. */
  | { readonly act: 'begin-epoch'; readonly because: MountDoubt; readonly counter: number };

export type MountDoubt =
  | 'others-remember'
  /** The marker names another start than this host remembers. */
  | 'other-boot'
  | 'damaged'
  /** The log has another epoch than the marker. */
  | 'other-epoch'
  /** The log has an earlier epoch than this host remembers. */
  | 'earlier-epoch'
  | 'lacks-remembered';

export function decideMount(view: MountView): MountVerdict {
  const because = view.doubt === undefined ? (bootDoubt(view) ?? logDoubt(view)) : 'others-remember';
  if (because === undefined) return { act: 'believe' };
  const { wallMs, marker, log, remembered, doubt } = view;
  const found = log.kind === 'sound' ? log.end.epoch : log.epoch;
  const seen = [marker.epoch, found, remembered.position?.epoch].map(epoch => epoch?.counter ?? 0);
  return { act: 'begin-epoch', because, counter: counterAbove([wallMs, ...seen, doubt?.counterSeen ?? 0]) };
}

/**
 * The counter of a new epoch, above all that were seen of a store; for its first epoch only the wall clock is given.
 */
export const counterAbove = (seen: readonly number[]): number => Math.max(...seen) + 1;

function bootDoubt({ marker, boot, previousBoot, log, remembered }: MountView): MountDoubt | undefined {
  // The store was made in this very start, and its log is still empty.
  if (marker.boot === boot && log.kind === 'sound' && log.end.seq === 0) return undefined;
  // The boots at which this very store was last mounted are remembered for disks that were away for a while.
  const expected = remembered.boots.length > 0 ? remembered.boots : [previousBoot];
  return expected.includes(marker.boot) ? undefined : 'other-boot';
}

function logDoubt({ marker, log, remembered }: MountView): MountDoubt | undefined {
  if (log.kind === 'damaged') return 'damaged';
  if (compareEpochs(log.end.epoch, marker.epoch) !== 0) return 'other-epoch';
  if (remembered.position === undefined) return undefined;
  const order = compareEpochs(log.end.epoch, remembered.position.epoch);
  if (order < 0) return 'earlier-epoch';
  return order === 0 && !log.hasRemembered ? 'lacks-remembered' : undefined;
}
