/**
 * Parts: what this host is made of besides its state, its machine and its net. Each part is made after those it needs.
 *
 * Some need each other. The one made first is given a function that returns the other, and calls it only once all are
 * there: no part works by itself before it is started (run-service.ts).
 */
import { BootWatch } from './boot-watch.js';
import { ConfigurationUse } from './configuration-use.js';
import { type Copies, makeCopies } from './copies.js';
import { type KnownSources, makeKnownSources } from './known-sources.js';
import { Orders } from './orders.js';
import type { Origin } from './origin.js';
import type { OwnMachine } from './own-machine.js';
import type { OwnNet } from './own-net.js';
import type { OwnScrubs } from './own-scrubs.js';
import { makeOrigin } from './own-sources.js';
import type { OwnState } from './own-state.js';
import { OwnStores, type OwnStoresOptions } from './own-stores.js';
import { Protections } from './protection.js';
import { ShortBlobs, shortOf } from './short-blobs.js';
import { SourceDisks } from './source-disks.js';
import { SourceNames } from './source-names.js';
import { StateExchange } from './state-exchange.js';
import { StoreHeads } from './store-heads.js';
import type { Teardown } from './teardown.js';
import type { TreeKeeper } from './tree-keeper.js';
import { makeUpkeep } from './upkeep.js';

/** What exists before the parts, and what all of them are made from. */
export interface Host extends OwnState, OwnMachine, OwnNet {
  /** Aborts when the service ends. */
  readonly signal: AbortSignal;
}

export interface Parts {
  readonly stores: OwnStores;
  readonly sourceDisks: SourceDisks;
  readonly known: KnownSources;
  readonly protections: Protections;
  readonly watch: BootWatch;
  readonly exchange: StateExchange;
  readonly origin: Origin;
  readonly storeHeads: StoreHeads;
  readonly copies: Copies;
  readonly orders: Orders;
  readonly trees: TreeKeeper;
  readonly scrubs: OwnScrubs;
  readonly configurationUse: ConfigurationUse;
}

export async function makeParts(host: Host, teardown: Teardown): Promise<Parts> {
  const { stateDir, membership, machine, roster, disk, clock, alarms, isReachable } = host;
  const { host: self } = membership.identity;
  const timing = () => membership.clusterConfig.timing;

  const stores = makeStores(host, {
    onMount: store => {
      configurationUse.keepIn(store);
      void storeHeads.learn(store);
      scrubs.begin(store);
    },
    // As with strays: while a parcel without any copy also has no record here, all is spared.
    sparing: async () => {
      const { has, isComplete } = await short.recent();
      return isComplete ? has : () => true;
    },
  });
  // Closed after all parts that read and write copies.
  teardown.defer(() => stores.close());
  // Open as long as anybody reads a source.
  const sourceDisks = new SourceDisks({ stateDir, host: self, alarms });
  teardown.defer(() => sourceDisks.close());
  const known = await makeKnownSources({ ...host, objects: disk.objects, stores }, teardown);
  const { catalog, finder, mending } = known;
  const names = new SourceNames({ catalog, membership, roster });
  const protections = new Protections({ known: machine.known, reader: mending, isReachable });
  const watch = watchBoot(host);
  teardown.defer(() => watch.stop());
  const exchange = new StateExchange({
    ...host,
    known: machine.known,
    revocations: known.revocations,
    heartbeat: () => machine.heartbeat(),
    stores,
    catalog,
    archive: disk.index.logs,
    onOwnHead: (source, sealed, from) => origin.heardOwnHead(source, sealed, from),
    onOwnFrame: (frame, from) => watch.hear(frame, from),
  });
  const origin = await makeOrigin({ ...host, known, protections, stores, sourceDisks, exchange, names }, teardown);
  const storeHeads = new StoreHeads({ ...host, stores, catalog, origin, revocations: known.revocations });
  const short = new ShortBlobs({
    sources: () => catalog.sources(),
    short: source => shortOf(source, machine.known),
    reader: known.local,
    nowMs: () => clock.nowMs(),
  });
  const copies = makeCopies({ ...host, short, stores, finder, origin, timing }, teardown);
  const orders = new Orders({ ...host, origin, names });
  const { trees, sweeper, scrubs } = makeUpkeep(
    { ...host, known, stores, origin, protections, short, copies },
    teardown,
  );
  const configurationUse = new ConfigurationUse({ ...host, known, stores, storeHeads, sourceDisks, origin, sweeper });
  return {
    stores,
    sourceDisks,
    known,
    protections,
    watch,
    exchange,
    origin,
    storeHeads,
    copies,
    orders,
    trees,
    scrubs,
    configurationUse,
  };
}

function makeStores(host: Host, { onMount, sparing }: Pick<OwnStoresOptions, 'onMount' | 'sparing'>): OwnStores {
  const { membership, disk, machine } = host;
  return new OwnStores({
    ...host,
    cluster: membership.cluster,
    host: membership.identity.host,
    index: disk.index,
    partialMs: () => membership.clusterConfig.timing.partialMs,
    trashMs: () => membership.clusterConfig.timing.trashMs,
    sparing,
    reservedBytes: store => machine.known.comingBytes(store),
    onMount,
  });
}

function watchBoot({ stateDir, boot, net, roster, wallMs, alarms, log }: Host): BootWatch {
  const { self } = roster;
  return new BootWatch({
    stateDir,
    boot,
    framesSent: () => net.framesSent,
    nameOf: peer => roster.nameOf(roster.hostOf(peer) ?? self),
    others: () => [...roster.members()].filter(({ host, peer }) => host !== self && roster.isTrusted(peer)).length,
    wallMs,
    alarms,
    log,
  });
}
