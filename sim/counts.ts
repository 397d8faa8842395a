/**
 * Counts: how often a run saw events that only faults and crowds cause. A batch of runs that saw too few of them has
 * tested nothing, whatever it found, and fails.
 */
import { type CrashName, dangerousCrashes } from './crash-points.js';

export interface Counts extends Record<CrashName, number> {
  /** Attempts to drop that yielded to another host's. */
  yields: number;
  /** Moves that ended with the needed parcel in the room that they had made. */
  relocations: number;
  /** Moves of which the offering host began to drop everything at once when the other host had it. */
  handedOver: number;
  withdrawnClaims: number;
  /** Attempts to drop that ended without a commit. */
  voidAttempts: number;
  drops: number;
  expiries: number;
  /** Parcels that were wanted again at a host before their time there was up. */
  wantedAgain: number;
  grants: number;
  denials: number;
  /** Writes that found no room. */
  noRoom: number;
  newEpochs: number;
  /** Checkpoints of stores' logs; and how often a host read another's. */
  checkpoints: number;
  checkpointsRead: number;
  configForks: number;
  /**
   * Revocations and drains of a host that an attempt to drop had just asked, or was about to ask; and changes of N at
   * such a moment.
   */
  membersOutAmidDrop: number;
  copiesAmidDrop: number;
  duplicates: number;
  outages: number;
  crashes: number;
  /** Crashes at a boundary of an effect. */
  boundaryCrashes: number;
  injectedLosses: number;
  /** Hosts that began to lie, and second machines with one identity. */
  lies: number;
  clones: number;
  /** Wrong bytes for which the store's log refused the `corrupt` operation. */
  corruptRefused: number;
  /** Stores whose disk kept a request waiting too long, and stores that were to be emptied. */
  hangingStores: number;
  drainedStores: number;
  /** Hosts that were drained until nothing there would be missing, and then revoked. */
  leaves: number;
  askedPauses: number;
  /** Lost parcels that were taken out of the trash. */
  takenBack: number;
  /** Logs that differed from what had been read of them, as a checkpoint showed. */
  logForks: number;
  /** Boot counters that were raised because others had heard a later start. */
  bootsRaised: number;
  /** Writes outside the stores that the disk refused. */
  stateRefused: number;
  /** Starts of services, openings of stores and rescans that a disk refused. */
  startsRefused: number;
  mountsRefused: number;
  rescansRefused: number;
  /** Audits asked of other hosts, and copies that a host stopped counting because of one. */
  audits: number;
  distrusts: number;
  /** Transfers that were given up because nothing moved. */
  stalls: number;
  /** Fetches that continued from what an earlier one had left. */
  resumed: number;
  /** Copies made of what the host's own stores had. */
  takenHere: number;
  receivedBytes: number;
  wastedBytes: number;
  /** Copies that were made while everything was in order and their cost was watched. */
  thriftyCopies: number;
  /** Their bytes, and bytes received for the same parcels beyond them. */
  neededBytes: number;
  needlessBytes: number;
}

export const noCounts = (): Counts => ({
  yields: 0,
  relocations: 0,
  handedOver: 0,
  withdrawnClaims: 0,
  voidAttempts: 0,
  drops: 0,
  expiries: 0,
  wantedAgain: 0,
  grants: 0,
  denials: 0,
  noRoom: 0,
  newEpochs: 0,
  checkpoints: 0,
  checkpointsRead: 0,
  configForks: 0,
  membersOutAmidDrop: 0,
  copiesAmidDrop: 0,
  duplicates: 0,
  outages: 0,
  crashes: 0,
  boundaryCrashes: 0,
  injectedLosses: 0,
  lies: 0,
  clones: 0,
  corruptRefused: 0,
  hangingStores: 0,
  drainedStores: 0,
  leaves: 0,
  askedPauses: 0,
  takenBack: 0,
  logForks: 0,
  bootsRaised: 0,
  stateRefused: 0,
  startsRefused: 0,
  mountsRefused: 0,
  rescansRefused: 0,
  audits: 0,
  distrusts: 0,
  stalls: 0,
  resumed: 0,
  takenHere: 0,
  receivedBytes: 0,
  wastedBytes: 0,
  thriftyCopies: 0,
  neededBytes: 0,
  needlessBytes: 0,
  ...dangerousCrashes(0),
});

export function addCounts(to: Counts, from: Counts): void {
  for (const name of Object.keys(to) as (keyof Counts)[]) to[name] += from[name];
}

/** What this many runs must have seen of each event at least. */
export const COUNTS_DUE = {
  runs: 500,
  least: {
    yields: 50,
    relocations: 30,
    handedOver: 40,
    withdrawnClaims: 50,
    voidAttempts: 50,
    // A single seed may have a hundred of them: 500 seeds saw 190 to 580.
    wantedAgain: 100,
    noRoom: 20,
    newEpochs: 10,
    checkpointsRead: 500,
    configForks: 5,
    stalls: 5,
    resumed: 100,
    takenHere: 300,
    membersOutAmidDrop: 15,
    copiesAmidDrop: 40,
    boundaryCrashes: 150,
    duplicates: 60,
    outages: 300,
    audits: 10_000,
    distrusts: 2,
    lies: 30,
    hangingStores: 60,
    bootsRaised: 100,
    drainedStores: 10,
    leaves: 30,
    askedPauses: 60,
    takenBack: 5,
    logForks: 1,
    clones: 25,
    stateRefused: 100,
    startsRefused: 400,
    mountsRefused: 300,
    rescansRefused: 3,
    thriftyCopies: 2_000,
    ...dangerousCrashes(1),
  },
} as const satisfies { readonly runs: number; readonly least: Partial<Counts> };
