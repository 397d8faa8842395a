/**
 * A house of real hosts for membership tests: a state folder, a membership and a net on loopback each, as the daemon wires
 * them. All of it goes when the test ends.
 */
import type { ExecutionContext } from 'ava';
import type { Logger } from 'pino';
import type { PeerName } from '../../src/core/ids.js';
import type { InviteOrder } from '../../src/membership/admin.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { type Joined, type JoinOptions, joinCluster } from '../../src/membership/join-cluster.js';
import { type Membership, openMembership } from '../../src/membership/membership.js';
import { readRememberedPeers } from '../../src/membership/remembered-peers.js';
import { type Spread, spreadMembership } from '../../src/membership/spread.js';
import type { Net } from '../../src/net/net.js';
import { startNet } from '../../src/net/start-net.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { addressOf, until } from '../net/fleet.js';
import { HOUR_MS, silent } from './cast.js';

export { until };

export class House {
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext) {
    this.#t = t;
  }

  /** A new cluster's first host, up. */
  async found(name = 'a'): Promise<LiveHost> {
    const stateDir = temporaryFolder(this.#t);
    await initCluster({ stateDir, clusterName: 'home', hostName: name, nowMs: Date.now() });
    return await this.up(stateDir);
  }

  async up(
    stateDir: string,
    { clock = Date.now, log = silent }: { readonly clock?: () => number; readonly log?: Logger } = {},
  ): Promise<LiveHost> {
    const membership = await openMembership({ stateDir, clock, runMs: () => performance.now(), log });
    const remembered = readRememberedPeers(stateDir, log);
    const known = function* () {
      yield* membership.doors();
      for (const [peer, addresses] of remembered) yield { peer, addresses };
    };
    const net = await startNet({
      privateKeySeed: membership.identity.seed,
      boot: 1,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      mdns: false,
      cluster: membership.cluster,
      gate: { isMember: peer => membership.isMember(peer), strangersWelcome: () => membership.strangersWelcome() },
      log,
      knownAddresses: known,
      redialEveryMs: 100,
    });
    const spread = await spreadMembership({ net, membership, log });
    const host = new LiveHost(stateDir, membership, net, spread);
    this.#t.teardown(() => host.down());
    return host;
  }

  /** A fresh state folder that joins by this token. */
  async join(
    token: string,
    hostName: string,
    more: Partial<JoinOptions> = {},
  ): Promise<Joined & { readonly stateDir: string }> {
    const stateDir = more.stateDir ?? temporaryFolder(this.#t);
    const joined = await joinCluster({
      token,
      hostName,
      mdns: false,
      findMs: 0,
      clock: Date.now,
      log: silent,
      ...more,
      stateDir,
    });
    return { ...joined, stateDir };
  }

  /** Joins and comes up. */
  async admit(through: LiveHost, hostName: string): Promise<LiveHost> {
    const { stateDir } = await this.join(await through.invite(), hostName);
    return await this.up(stateDir);
  }
}

export class LiveHost {
  readonly stateDir: string;
  readonly membership: Membership;
  readonly net: Net;
  readonly #spread: Spread;

  constructor(stateDir: string, membership: Membership, net: Net, spread: Spread) {
    this.stateDir = stateDir;
    this.membership = membership;
    this.net = net;
    this.#spread = spread;
  }

  get peer(): PeerName {
    return this.net.peer;
  }

  invite(terms: Partial<InviteOrder> = {}): Promise<string> {
    return this.membership.admin.createInvite({
      uses: 1,
      lifeMs: HOUR_MS,
      trust: 'trusted',
      addresses: this.net.addresses(),
      ...terms,
    });
  }

  standingOf(name: string): string | undefined {
    return this.membership.clusterConfig.members.find(member => member.name === name)?.state;
  }

  async meet(other: LiveHost): Promise<void> {
    await this.net.dial(addressOf(other.net));
    await until(
      () => this.net.connected().includes(other.peer) && other.net.connected().includes(this.peer),
      'two hosts to meet',
    );
  }

  async down(): Promise<void> {
    await this.#spread.stop();
    await this.net.stop();
  }
}
