/**
 * Known sources: what this host knows of every source of the cluster: the heads in force, where the objects that they
 * list are read from, and the records that it keeps of them.
 *
 * An object comes from the state folder, from the mounted stores, or from a peer that is likely to have it. What the
 * state folder has lost is restored from there.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ObjectId, ParcelId, PeerName } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import type { ObjectReader } from '../core/objects.js';
import type { Membership } from '../membership/membership.js';
import type { Net } from '../net/net.js';
import type { ObjectFolder } from '../store/object-folder.js';
import type { Alarms } from './alarms.js';
import { CatalogKeeper } from './catalog-keeper.js';
import type { Unstamped } from './driver.js';
import { Forgotten } from './forgotten.js';
import { LocalObjects, MendingObjects, ObjectFinder, passingOver } from './object-finder.js';
import type { OwnStores } from './own-stores.js';
import { keepsAllByDefault, RecordKeeper } from './record-keeper.js';
import { Revocations } from './revocations.js';
import type { Roster } from './roster.js';
import type { RunningTime } from './running-time.js';
import type { Teardown } from './teardown.js';

export interface KnownSourcesOptions {
  readonly stateDir: string;
  readonly membership: Membership;
  /** The catalog of the state folder. */
  readonly objects: ObjectFolder;
  readonly stores: OwnStores;
  readonly machine: Machine;
  readonly roster: Roster;
  readonly net: Net;
  readonly running: RunningTime;
  readonly alarms: Alarms;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface KnownSources {
  /** Objects that are on a disk of this host. */
  readonly local: LocalObjects;
  /** As `local`, for peers: an object that may be on a failing disk counts as missing. */
  readonly served: ObjectReader;
  /** Finds objects wherever they are; keeps nothing. */
  readonly finder: ObjectFinder;
  /** As the finder, but keeps what comes from elsewhere. */
  readonly mending: MendingObjects;
  readonly forgotten: Forgotten;
  readonly revocations: Revocations;
  readonly catalog: CatalogKeeper;
}

export async function makeKnownSources(options: KnownSourcesOptions, teardown: Teardown): Promise<KnownSources> {
  const { stateDir, membership, objects, stores, machine, roster, net, running, alarms, tell, log, signal } = options;
  const quick = (): ObjectReader[] => [objects, ...[...stores.answering()].map(store => store.objects)];
  // A disk that hangs keeps nobody from what another one has.
  const here = (): ObjectReader[] => [...new Set([...quick(), ...stores.catalogs()])];
  // An object that is not a record belongs to no parcel, so no peer is likelier than another.
  const likely = (id: ObjectId): PeerName[] => {
    const parcel = id as ParcelId;
    const hosts = [machine.known.originOf(parcel), ...machine.known.holders(parcel).map(({ host }) => host)];
    return hosts.flatMap(host => (host === undefined ? [] : (roster.peerOf(host) ?? [])));
  };
  const finder = new ObjectFinder({ quick, here, net, likely, log });
  const forgotten = new Forgotten(membership.configuration, source => machine.known.copiesWanted(source) !== undefined);
  const revocations = new Revocations(membership);
  const catalog = new CatalogKeeper({
    folder: join(stateDir, 'catalog', 'heads'),
    objects,
    fromPeer: peer => finder.from(peer, signal),
    find: (object, until) => finder.get(object, until),
    forgotten,
    runMs: () => running.nowMs(),
    // A disk that is away, or is being read again, may have a copy.
    hasCopy: parcel => !stores.logsTellAll || machine.known.isClaimed(parcel),
    roster,
    revocations,
    tell,
    alarms,
    log,
  });
  const fullByDefault = await keepsAllByDefault(stateDir);
  const records = new RecordKeeper({
    net,
    objects,
    keepsAll: () => {
      const { self, configuration } = membership;
      const wish = configuration.policy.hosts.get(self.name)?.catalog;
      return self.trust === 'trusted' && (wish === undefined ? fullByDefault : wish === 'full');
    },
    likely,
    log,
    signal,
  });
  teardown.defer(() => records.stop());
  teardown.defer(() => catalog.stop());
  catalog.onHead((_source, { add, remove }) => {
    records.forget(remove);
    records.want(add);
  });
  return {
    local: new LocalObjects(here),
    // The peer can ask other hosts itself.
    served: { get: id => passingOver(here(), id, log) },
    finder,
    mending: new MendingObjects({ own: objects, finder }),
    forgotten,
    revocations,
    catalog,
  };
}
