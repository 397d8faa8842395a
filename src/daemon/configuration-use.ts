/**
 * Configuration use: tells each part of this host what it needs to know of a new configuration, and gives every store
 * a copy, so that a disk alone says whose it is.
 *
 * Called once when all parts exist, and then at every change, which is durable by then.
 */
import type { Logger } from 'pino';
import type { Membership } from '../membership/membership.js';
import type { LimitsSetting } from '../membership/policy.js';
import type { Net } from '../net/net.js';
import type { Store } from '../store/store.js';
import type { Unstamped } from './driver.js';
import type { KnownSources } from './known-sources.js';
import type { Origin } from './origin.js';
import type { OwnStores } from './own-stores.js';
import type { Roster } from './roster.js';
import type { SourceDisks } from './source-disks.js';
import type { StoreHeads } from './store-heads.js';
import type { Upkeep } from './upkeep.js';

export interface ConfigurationUseOptions {
  readonly membership: Membership;
  readonly roster: Roster;
  readonly net: Pick<Net, 'close' | 'connected' | 'paces'>;
  readonly known: KnownSources;
  readonly stores: OwnStores;
  readonly storeHeads: StoreHeads;
  readonly sourceDisks: Pick<SourceDisks, 'configure'>;
  readonly origin: Origin;
  readonly sweeper: Upkeep['sweeper'];
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
}

export class ConfigurationUse {
  readonly #options: ConfigurationUseOptions;

  constructor(options: ConfigurationUseOptions) {
    this.#options = options;
  }

  /**
   * Former members go first; a machine in whose place another one goes on is one. The stores come last, because what they
   * hold is judged by all the rest.
   *
   * Does nothing once this machine is to go on as another host: its parts are still those of the one that it was, and
   * would make that host's stores in the wrong name. The service is about to start anew.
   */
  begin(): void {
    if (this.#options.membership.isOtherHost) return;
    const { membership, roster, net, known, stores, storeHeads, sourceDisks, origin, sweeper, tell, log } =
      this.#options;
    const { configuration, clusterConfig, self } = membership;
    const before = new Map(net.connected().map(peer => [peer, roster.hostOf(peer)]));
    const gone = roster.update(clusterConfig.members);
    for (const [peer, host] of before) {
      // Nobody tells of the end of a connection to a peer that is no host any more.
      const isOther = host !== undefined && roster.hostOf(peer) !== host && roster.peerOf(host) !== undefined;
      if (isOther) tell({ is: 'disconnected', host });
    }
    for (const peer of gone) void net.close(peer);
    tell({ is: 'config', config: clusterConfig });
    for (const [peer, host] of before) {
      const now = roster.hostOf(peer);
      if (now !== undefined && host !== undefined && now !== host) tell({ is: 'connected', host: now });
    }
    known.forgotten.update(configuration);
    known.revocations.update(membership);
    known.catalog
      .reconsider()
      .then(() => Promise.all([...stores.stores()].map(store => storeHeads.learn(store))))
      .catch((error: unknown) => log.error({ err: error }, 'what was forgotten could not be let go'));
    for (const store of stores.stores()) this.keepIn(store);
    const setting = configuration.policy.hosts.get(self.name);
    this.#setPaces(setting?.limits);
    sourceDisks.configure(setting?.sources ?? [], setting?.stores ?? []);
    origin.configure(setting?.sources ?? []);
    sweeper.start();
    stores
      .configure(setting?.stores ?? [])
      .catch((error: unknown) => log.error({ err: error }, 'stores could not be looked at'));
  }

  keepIn(store: Pick<Store, 'putConfig'>): void {
    const { version, raw } = this.#options.membership.configuration;
    store.putConfig(version, raw).catch((error: unknown) => {
      this.#options.log.warn(
        { code: 'CONFIG_NOT_KEPT', err: error },
        'a store could not take the configuration; the state folder has it',
      );
    });
  }

  #setPaces(limits: LimitsSetting | undefined): void {
    const { roster, net } = this.#options;
    for (const [line, rate] of [
      [net.paces.upload, 'uploadBytesPerS'],
      [net.paces.download, 'downloadBytesPerS'],
    ] as const) {
      const ofPeers = [...(limits?.peers ?? [])].flatMap(([name, rates]) => {
        const peer = roster.named(name)?.peer;
        return peer === undefined || rates[rate] === undefined ? [] : [[peer, rates[rate]] as const];
      });
      line.set({ all: limits?.[rate], ofPeers: new Map(ofPeers) });
    }
  }
}
