/**
 * Cluster faults: what people change: members, hosts and stores to be emptied, the number of wanted copies; and two
 * people who make changes at the same time without knowing of each other.
 */
import type { Member } from '../src/core/cluster-config.js';
import type { SimHost } from './sim-host.js';
import type { World } from './world.js';

/** At least this many hosts stay members and alive, whatever the schedule says. */
const HOSTS_LEFT = 3;
/** While a host is being emptied, somebody checks on it once in this many heartbeats. */
const LOOK_HEARTBEATS = 1;

export class ClusterFaults {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  mayGo(host: SimHost): boolean {
    const { hosts, config } = this.#world;
    const left = hosts.filter(
      other =>
        other !== host &&
        !other.lost &&
        !other.isClone &&
        config.members.some(({ host: id, state }) => id === other.id && state === 'active'),
    );
    return !host.lost && left.length >= HOSTS_LEFT;
  }

  /** @param at the host that signs it */
  #setState(host: SimHost, state: Member['state'], at?: SimHost): boolean {
    const config = this.#world.configure(
      ({ members }) => ({
        members: members.map(member => (member.host === host.id ? { ...member, state } : member)),
      }),
      at === undefined ? {} : { at },
    );
    return config !== undefined;
  }

  #isIn(host: SimHost, state: Member['state']): boolean {
    return this.#world.config.members.some(member => member.host === host.id && member.state === state);
  }

  drain(host: SimHost, at?: SimHost): (() => void) | undefined {
    if (!this.mayGo(host) || !this.#isIn(host, 'active') || !this.#setState(host, 'draining', at)) return undefined;
    return () => {
      if (this.#isIn(host, 'draining')) this.#setState(host, 'active');
    };
  }

  /**
   * An orderly farewell: the host is drained, revoked when an admin's host finds nothing there that would be missing,
   * and switched off for good once that is in use. If that takes too long, the host may hold copies again.
   */
  leave(host: SimHost): (() => void) | undefined {
    const undo = this.drain(host);
    if (undo === undefined) return undefined;
    let isOver = false;
    const look = (): void => {
      if (isOver) return;
      isOver = this.#hasLeft(host);
      if (!isOver) this.#world.after(LOOK_HEARTBEATS * this.#world.config.timing.heartbeatMs, look);
    };
    look();
    return () => {
      if (!isOver) undo();
      isOver = true;
    };
  }

  /** Takes the next step if it is allowed. @returns whether the host has left */
  #hasLeft(host: SimHost): boolean {
    const admin = this.#world.hosts.find(
      other => other !== host && other.isResponsive && !other.isClone && other.disk.config === this.#world.config,
    );
    if (admin?.running === undefined) return false;
    if (this.#isIn(host, 'revoked')) {
      this.#world.counts.leaves += 1;
      this.#world.lose(host);
      return true;
    }
    const isNeeded = admin.running.machine.known.without(host.id).under > 0;
    if (!isNeeded && this.mayGo(host) && this.#isIn(host, 'draining')) this.#setState(host, 'revoked', admin);
    return false;
  }

  drainStore(host: SimHost, dice: number): (() => void) | undefined {
    const store = host.stores[(dice >>> 8) % Math.max(1, host.stores.length)];
    if (store === undefined) return undefined;
    this.#world.counts.drainedStores += 1;
    const set = (draining: boolean): void => {
      store.draining = draining;
      const { running } = host;
      running?.enter(() => running.lookAgain());
    };
    set(true);
    return () => set(false);
  }

  /** A person pauses the host (`cluster pause`), and resumes it. */
  askToPause(host: SimHost): (() => void) | undefined {
    if (host.askedToPause || !host.isResponsive) return undefined;
    this.#world.counts.askedPauses += 1;
    const set = (paused: boolean): void => {
      host.askedToPause = paused;
      const { running } = host;
      running?.enter(() => running.tell({ is: 'paused', paused }));
    };
    set(true);
    return () => set(false);
  }

  /** @returns whether the host was revoked. */
  revoke(host: SimHost, at?: SimHost): boolean {
    return this.mayGo(host) && this.#isIn(host, 'active') && this.#setState(host, 'revoked', at);
  }

  changeCopies(dice: number, at?: SimHost): () => void {
    const set = (copies: number, by?: SimHost): void => {
      this.#world.configure(
        ({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies })) }),
        by === undefined ? {} : { at: by },
      );
    };
    set(1 + (dice % 3), at);
    return () => set(1 + ((dice >>> 8) % 3));
  }

  /** Two admins each sign a successor of what they have, without knowing of the other. */
  fork(host: SimHost, other: SimHost, dice: number): void {
    if (host === other || !host.isResponsive || !other.isResponsive) return;
    if (!this.#isIn(host, 'active') || !this.#isIn(other, 'active')) return;
    const first = this.#world.configure(
      ({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies: 1 + (dice % 3) })) }),
      { at: host },
    );
    if (first === undefined || other.disk.config !== first.parent) return;
    this.#world.configure(
      ({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies: 1 + ((dice >>> 8) % 3) })) }),
      { at: other },
    );
  }
}
