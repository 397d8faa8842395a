/**
 * Upkeep: the work on this host's own disks that is done from time to time and that nobody waits for: the trees in the
 * stores, the scrub of what they hold, the sweep of the catalogs and of stray blobs, and taking back parcels that were
 * dropped and are now the last copy; and the watch over whether there is room for all, and for this host's own state.
 */
import type { Logger } from 'pino';
import { recordBlobs } from '../catalog/record.js';
import type { ClusterConfig } from '../core/cluster-config.js';
import type { Machine } from '../core/machine.js';
import type { Membership } from '../membership/membership.js';
import type { Alarms } from './alarms.js';
import { CatalogSweeper } from './catalog-sweeper.js';
import type { Clock } from './clock.js';
import { type Copies, freshNonce } from './copies.js';
import type { Unstamped } from './driver.js';
import type { KnownSources } from './known-sources.js';
import type { Origin } from './origin.js';
import { OwnScrubs } from './own-scrubs.js';
import type { OwnStores } from './own-stores.js';
import type { Pausing } from './pausing.js';
import type { Protections } from './protection.js';
import { RoomWatch } from './room-watch.js';
import type { Roster } from './roster.js';
import type { RunningTime } from './running-time.js';
import type { ShortBlobs } from './short-blobs.js';
import type { StateDisk } from './state-disk.js';
import { StateRoom } from './state-room.js';
import { TakingBack } from './taking-back.js';
import type { Teardown } from './teardown.js';
import { TreeKeeper } from './tree-keeper.js';

export interface UpkeepOptions {
  readonly stateDir: string;
  readonly membership: Membership;
  readonly disk: Pick<StateDisk, 'history' | 'index' | 'objects'>;
  readonly known: KnownSources;
  readonly stores: OwnStores;
  readonly origin: Origin;
  readonly protections: Protections;
  readonly machine: Machine;
  readonly copies: Pick<Copies, 'dropper'>;
  readonly short: ShortBlobs;
  readonly roster: Roster;
  readonly running: RunningTime;
  readonly pausing: Pausing;
  readonly alarms: Alarms;
  readonly clock: Clock;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Upkeep {
  readonly trees: TreeKeeper;
  readonly scrubs: OwnScrubs;
  readonly sweeper: CatalogSweeper;
}

export function makeUpkeep(options: UpkeepOptions, teardown: Teardown): Upkeep {
  const {
    stateDir,
    membership,
    disk,
    known,
    stores,
    origin,
    protections,
    machine,
    copies,
    short,
    roster,
    running,
    pausing,
    alarms,
    clock,
    tell,
    log,
    signal,
  } = options;
  const { catalog, local } = known;
  const timing = (): ClusterConfig['timing'] => membership.clusterConfig.timing;
  const trees = new TreeKeeper({
    stores,
    catalog,
    objects: local,
    known: machine.known,
    protections,
    roster,
    clock,
    timing,
    log,
    signal,
  });
  teardown.defer(() => trees.stop());
  const sweeper = new CatalogSweeper({
    catalog,
    history: disk.history,
    origin,
    objects: disk.objects,
    reader: local,
    stores: () => stores.stores(),
    isListed: parcel => machine.known.isListed(parcel),
    short,
    runMs: () => running.nowMs(),
    graceMs: () => timing().gcGraceMs,
    log,
    signal,
  });
  teardown.defer(() => sweeper.stop());
  const takingBack = new TakingBack({
    lost: () => machine.known.lost(),
    reader: local,
    blobsOf: recordBlobs,
    stores: () => stores.answering(),
    keepRoom: ({ parcel, bytes }, store) => {
      tell({ is: 'taking-back', parcel, store, bytes });
      return machine.known.keepsRoomFor(parcel);
    },
    giveRoomBack: parcel => tell({ is: 'taken-back', parcel }),
    tell: async id => {
      const usedBytes = await stores.usedBytes(id);
      await stores.tellOps(id, segment => ({ is: 'own-ops', segment, usedBytes }));
    },
    log,
    signal,
  });
  teardown.defer(() => takingBack.stop());
  takingBack.start();
  const scrubs = new OwnScrubs({
    stores,
    reader: copies.dropper,
    bytesOf: parcel => machine.known.bytesOf(parcel),
    nonce: freshNonce,
    notes: disk.index.scrubs,
    cycleMs: () => timing().scrubMs,
    isMoving: () => {
      const { fetches, attempts } = machine.known.pending();
      return fetches + attempts > 0;
    },
    isPaused: () => pausing.isPaused,
    clock,
    log,
    signal,
  });
  teardown.defer(() => scrubs.stop());
  const roomWatch = new RoomWatch({
    roomWanted: () => machine.known.roomWanted(),
    nameOf: source => roster.sourceName(source, [...catalog.sources()]),
    patienceMs: () => timing().relocateMs,
    nowMs: () => clock.nowMs(),
    alarms,
  });
  teardown.defer(() => roomWatch.stop());
  roomWatch.start();
  const stateRoom = new StateRoom({
    stateDir,
    indexRefusals: () => disk.index.refusals.count,
    isBehind: () => [...stores.stores()].some(store => store.isBehind),
    alarms,
  });
  teardown.defer(() => stateRoom.stop());
  stateRoom.start();
  return { trees, sweeper, scrubs };
}
