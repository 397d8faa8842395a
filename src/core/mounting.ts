/**
 * Mounting: is the log of a store of ours to be believed when the store is opened, or does a new epoch begin?
 *
 * The log says what the store should have, and others count copies by it. So it is in doubt when it is damaged before its end, when it
 * lacks what this host remembers of it, and when the boot counters of the marker and of the state folder say that one of the two is an
 * old image; or when whoever opens the store has heard of others that they remember more (remembered-logs.ts). Then a new, empty log
 * begins, above every epoch that anybody has seen of the store, and all that lies there is read again before it counts.
 *
 * Pure. Driven by the store's recovery.ts, which reads log and marker, and by the simulator. The boot is noted in marker and index after.
 */
import { compareEpochs, type Epoch, type LogPosition } from './holdings-log.js';

export interface MountView {
  /** This start of the service, and the one before. */
  readonly boot: number;
  readonly previousBoot: number;
  readonly wallMs: number;
  readonly marker: {
    /** At which start the store was mounted last, or made. */
    readonly boot: number;
    readonly epoch: Epoch;
  };
  readonly log:
    | {
        readonly kind: 'sound';
        readonly end: Pick<LogPosition, 'epoch' | 'seq'>;
        /** It has the operation that is remembered, or stands on a checkpoint after it: of what that stands for nobody can say any more. */
        readonly hasRemembered: boolean;
      }
    /** `epoch`: as far as it can be read. */
    | { readonly kind: 'damaged'; readonly epoch: Epoch | undefined };
  readonly remembered: {
    /** Of the last mount, and of one that was about to be noted; none where this host does not know of the store. */
    readonly boots: readonly number[];
    /** How far the log was followed. */
    readonly position: Pick<LogPosition, 'epoch' | 'seq'> | undefined;
  };
  /** What others remember speaks against the log: the greatest epoch counter of it that they have shown. */
  readonly doubt: { readonly counterSeen: number } | undefined;
}

export type MountVerdict =
  | { readonly act: 'believe' }
  /** `counter`: of the epoch that begins. */
  | { readonly act: 'begin-epoch'; readonly because: MountDoubt; readonly counter: number };

export type MountDoubt =
  | 'others-remember'
  /** Of another start than this host remembers. */
  | 'other-boot'
  | 'damaged'
  /** The log is of another epoch than the marker. */
  | 'other-epoch'
  /** … and of an earlier one than is remembered. */
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

/** Of an epoch that is greater than all that were seen of a store; of its first one, by the wall clock alone. */
export const counterAbove = (seen: readonly number[]): number => Math.max(...seen) + 1;

function bootDoubt({ marker, boot, previousBoot, log, remembered }: MountView): MountDoubt | undefined {
  // Made in this very start, and nothing was ever said of it.
  if (marker.boot === boot && log.kind === 'sound' && log.end.seq === 0) return undefined;
  // At which boot this very store was mounted last, which a disk that was away for a while needs.
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
