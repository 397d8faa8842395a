/**
 * Faults: what a run's schedule may contain. Each is complete in itself, with its beginning and end, so that any of
 * them can be left out and the others stay as they are: that is how a failing run is made small.
 *
 * Hosts and parcels are named by numbers, taken modulo how many there are, because a smaller world must be able to run
 * the same schedule.
 */
export type FaultKind =
  // Network.
  | 'partition'
  | 'one-way'
  | 'half-open'
  | 'mute-gossip'
  | 'mute-streams'
  | 'loss'
  | 'lag'
  | 'slow-link'
  // Processes.
  | 'crash'
  | 'boundary-crash'
  | 'pause'
  | 'suspend'
  | 'drift'
  | 'wall-jump'
  | 'clone'
  // Disks.
  | 'bit-rot'
  | 'read-error'
  | 'no-room'
  | 'slow-disk'
  | 'lost-write'
  | 'torn-write'
  | 'lost-index'
  | 'astray-write'
  | 'wipe'
  | 'old-image'
  // The cluster.
  | 'join'
  | 'late-join'
  | 'drain'
  | 'leave'
  | 'revoke'
  | 'lose'
  | 'copies'
  | 'capacity'
  | 'fork'
  | 'asked-pause'
  // Malice.
  | 'lie'
  // What people do anyway: new snapshots.
  | 'back-up'
  | 'erase-history';

export interface Fault {
  /** Its place in the schedule as drawn; it stays the same when others are left out. */
  readonly id: number;
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly forMs: number;
  readonly host: number;
  readonly other: number;
  /** A number from 0 to 2^32 − 1, for all other choices. */
  readonly dice: number;
}
