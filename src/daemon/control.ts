/**
 * Control: what people can ask of the running host over its socket; and the self test, which asks by itself whether
 * what is held can be restored.
 */
import { randomInt } from 'node:crypto';
import type { Logger } from 'pino';
import type { HostId } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import type { Membership } from '../membership/membership.js';
import type { Net } from '../net/net.js';
import type { Alarms } from './alarms.js';
import { Answers } from './answers.js';
import { askMembers } from './ask-members.js';
import { BlobSource } from './blob-source.js';
import type { Clock } from './clock.js';
import { startControlServer } from './control-server.js';
import { type Copies, freshNonce } from './copies.js';
import { type DrillOptions, drill } from './drill.js';
import type { KnownAddresses } from './known-addresses.js';
import type { KnownSources } from './known-sources.js';
import { LoopDelay } from './loop-delay.js';
import { passingOver } from './object-finder.js';
import type { Orders } from './orders.js';
import type { Origin } from './origin.js';
import type { OwnScrubs } from './own-scrubs.js';
import type { OwnStores } from './own-stores.js';
import type { Pausing } from './pausing.js';
import type { Protections } from './protection.js';
import type { Roster } from './roster.js';
import { scrub } from './scrub.js';
import { SelfTest, type SelfTestOptions } from './self-test.js';
import type { StateExchange } from './state-exchange.js';
import type { StoreHeads } from './store-heads.js';
import type { Teardown } from './teardown.js';
import type { TreeKeeper } from './tree-keeper.js';

export interface ControlOptions {
  readonly stateDir: string;
  /** For temporary files; on the disk of the state folder. */
  readonly scratchFolder: string;
  readonly membership: Membership;
  readonly machine: Machine;
  readonly roster: Roster;
  readonly net: Net;
  readonly exchange: Pick<StateExchange, 'ask'>;
  readonly addresses: KnownAddresses;
  readonly known: KnownSources;
  readonly stores: OwnStores;
  readonly storeHeads: StoreHeads;
  readonly origin: Origin;
  readonly orders: Orders;
  readonly protections: Protections;
  readonly copies: Copies;
  readonly trees: TreeKeeper;
  readonly scrubs: OwnScrubs;
  readonly isReachable: (host: HostId) => boolean;
  readonly alarmsOf: (host: HostId) => number | undefined;
  readonly clock: Clock;
  readonly pausing: Pausing;
  readonly alarms: Alarms;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** @throws ClusterError CONTROL_PATH_TOO_LONG, … */
export async function startControl(options: ControlOptions, teardown: Teardown): Promise<void> {
  const { stateDir, scratchFolder, membership, machine, roster, net, exchange, addresses, known, stores, storeHeads } =
    options;
  const {
    origin,
    orders,
    protections,
    copies,
    trees,
    scrubs,
    isReachable,
    alarmsOf,
    clock,
    pausing,
    alarms,
    log,
    signal,
  } = options;
  const { catalog, finder, mending } = known;
  const { doubted, dropper } = copies;
  const loopDelay = new LoopDelay();
  teardown.defer(() => loopDelay.stop());
  const blobs = new BlobSource({ net, known: machine.known, stores, roster, doubted, clock, log });
  const tried: DrillOptions = {
    objects: finder,
    record: async (parcel, until) => {
      const source = machine.known.originOf(parcel);
      const fromOthers = await finder.fromOthers(parcel, until, source && roster.peerOf(source));
      return fromOthers ?? passingOver(stores.catalogs(), parcel, log);
    },
    copies: (parcel, wanted, until) => blobs.copies(parcel, wanted, until),
    holders: parcel => [...new Set(machine.known.holders(parcel).map(({ host }) => roster.nameOf(host)))].sort(),
    below: count => randomInt(count),
  };
  const drillFrom: SelfTestOptions['drill'] = (snapshot, most, until) => drill(tried, snapshot, most, until);
  const selfTest = new SelfTest({
    ownSources: () => origin.sources(),
    newestProtected: (source, until) =>
      protections.newestProtected(source, catalog.get(source)?.head.snapshots ?? [], until),
    drill: drillFrom,
    below: tried.below,
    hasReachableHolder: parcel =>
      machine.known.holders(parcel).some(({ host }) => host !== roster.self && isReachable(host)),
    nameOf: source => roster.sourceName(source, [...catalog.sources()]),
    pausing,
    alarms,
    log,
    signal,
  });
  teardown.defer(() => selfTest.stop());
  selfTest.start();
  const service = new Answers({
    membership,
    known: machine.known,
    catalog,
    objects: finder,
    mending,
    stores,
    origin,
    orders,
    roster,
    protections,
    blobs,
    scrubs,
    scrub: until =>
      scrub(
        {
          stores: () => stores.stores(),
          absentStores: () => stores.absent(),
          reader: dropper,
          bytesOf: parcel => machine.known.bytesOf(parcel) ?? 0,
          nonce: freshNonce,
          headFrom: (source, sealed) => storeHeads.signed(source, sealed),
          renewHead: (store, source) => storeHeads.renew(store, source),
          onCatalogUnread: (store, error) =>
            log.warn(
              { code: 'CATALOG_UNREAD', store: store.id, err: error },
              'a scrub could not read the part of the catalog that a store keeps',
            ),
        },
        until,
      ),
    drill: drillFrom,
    pausing,
    alarms,
    clock,
    askMembers: without =>
      askMembers({ connected: () => net.connected(), roster, clock, signal, ask: host => exchange.ask(host) }, without),
    addresses: () => net.addresses(),
    alarmsOf,
    knownAddresses: () => addresses.all(),
    isReachable,
    loopDelay,
    scratchFolder,
    trees,
  });
  const control = await startControlServer({ stateDir, service, log });
  teardown.defer(() => control.close());
}
