/**
 * Words: checks that a host announces nothing that is not durable (I5), takes no more room than it lends (I6), and
 * deals only with members (I8).
 */
import type { Member } from '../../src/core/cluster-config.js';
import type { Effect } from '../../src/core/effects.js';
import { compareEpochs, type LogPosition } from '../../src/core/holdings-log.js';
import type { HostId, Key } from '../../src/core/ids.js';
import type { Happening } from '../happening.js';
import type { Running } from '../sim-host.js';
import type { StoreDisk } from '../store-disk.js';
import { Violation } from '../violation.js';
import type { World } from '../world.js';
import type { Checker } from './checker.js';

export class WordChecker implements Checker {
  readonly #world: World;
  /** The bytes that machines reserve in each store, as of their last steps. */
  readonly #reserved = new WeakMap<StoreDisk, number>();
  /** What each machine was last told that each store lends. */
  readonly #lent = new WeakMap<StoreDisk, number>();
  /** Stores that were reported to lend less than before. */
  readonly #wasCut = new WeakSet<StoreDisk>();

  constructor(world: World) {
    this.#world = world;
  }

  see(happening: Happening): void {
    if (happening.is === 'effect') this.#effect(happening.by, happening.effect);
    else if (happening.is === 'told') this.#told(happening);
    else if (happening.is === 'serves') this.#serves(happening);
    else if (happening.is === 'stepped') {
      this.#promises(happening.by);
      // The configuration decides which hosts count.
      if (happening.input.is === 'config') {
        this.#countsMembers(happening.by);
        this.#isConnectedWithMembers(happening.by);
      }
    } else if (happening.is === 'durable' && happening.op.op === 'add') this.#added(happening);
  }

  #effect(by: Running, effect: Effect): void {
    switch (effect.do) {
      case 'gossip':
        if (effect.message.kind === 'log') this.#isDurable(by, effect.message.segment.end);
        if (effect.message.kind !== 'heartbeat') return;
        for (const { position } of effect.message.stores) this.#isDurable(by, position);
        return;
      case 'drop':
        for (const host of effect.proof.granters) {
          if (memberOf(by, host)?.state !== 'active')
            throw new Violation('I8', `h${by.host.number} counts a grant of a stranger`);
        }
        return;
      case 'ask-grants':
        for (const host of effect.holders) isMember(by, host, 'asks for a grant of');
        return;
      case 'answer-grant':
        if (effect.answer.answer === 'grant') isMember(by, effect.to, 'grants to');
        return;
      case 'fetch':
        isMember(by, effect.from, 'fetches from');
        return;
      case 'ask-audit':
        isMember(by, effect.holder, 'audits');
        return;
      case 'offer-relocation':
        isMember(by, effect.to, 'offers copies to');
        return;
      case 'answer-relocation':
        if (effect.accepted) isMember(by, effect.to, 'takes copies over from');
        return;
      default:
        return;
    }
  }

  /**
   * When a copy is announced, its bytes must be under its name and must have their room. Bytes written under a name
   * must match it, unless a fault misdirected the write.
   */
  #added({ host, store, op }: Extract<Happening, { is: 'durable' }>): void {
    if (op.op !== 'add') return;
    const file = store.files.get(op.parcel);
    if (file !== undefined && file.content !== op.parcel && !store.hasSpoiled.has(op.parcel))
      throw new Violation('I5', `h${host.number} has other bytes under ${op.parcel.slice(0, 8)}`);
    if (store.usedBytes > store.lentBytes && !store.wasCut)
      throw new Violation('I6', `h${host.number} uses ${store.usedBytes} bytes of ${store.lentBytes}`);
  }

  #told({ by, input }: Extract<Happening, { is: 'told' }>): void {
    if (input.is !== 'store') return;
    const store = by.host.stores.find(({ id }) => id === input.store);
    if (store === undefined) return;
    if (input.lentBytes < (this.#lent.get(store) ?? 0)) this.#wasCut.add(store);
    this.#lent.set(store, input.lentBytes);
  }

  /**
   * No store promises more than it lends; and a store that was cut below what it holds promises nothing more. A service
   * that ended within the step keeps no promise, and no longer says what it had on its way.
   */
  #promises(by: Running): void {
    if (by.host.running !== by) return;
    for (const store of by.mountedStores()) {
      const reserved = by.machine.known.reservedBytes(store.id);
      if (reserved < 0) throw new Violation('I6', `h${by.host.number} has given back more room than it kept`);
      const before = this.#reserved.get(store) ?? 0;
      this.#reserved.set(store, reserved);
      const promised = by.promisedBytes(store);
      const lent = this.#lent.get(store);
      if (lent === undefined || promised <= lent) continue;
      // A store may hold too much; but nothing may be promised on top.
      if (reserved === 0 || (this.#wasCut.has(store) && reserved <= before)) continue;
      throw new Violation('I6', `h${by.host.number} promises ${promised} bytes of ${lent}`);
    }
  }

  #isDurable(by: Running, { store: id, epoch, seq, digest }: LogPosition): void {
    const store = by.host.stores.find(candidate => candidate.id === id);
    if (store === undefined || compareEpochs(store.log.epoch, epoch) !== 0) return;
    if (seq <= store.log.seq && store.log.digestAt(seq) === digest) return;
    throw new Violation('I5', `h${by.host.number} says operation ${seq} of its log, and ${store.log.seq} are durable`);
  }

  full(): void {
    for (const host of this.#world.hosts) {
      for (const store of host.stores) {
        for (const [parcel, { content }] of store.files) {
          if (content !== parcel && !store.hasSpoiled.has(parcel))
            throw new Violation('I5', `h${host.number} has other bytes under ${parcel.slice(0, 8)}`);
        }
        let bytes = 0;
        const shared = new Map<Key, number>();
        for (const { shared: part } of store.pinned) shared.set(part.key, part.bytes);
        for (const { bytes: whole, shared: part } of store.files.values()) {
          bytes += whole - (part?.bytes ?? 0);
          if (part !== undefined) shared.set(part.key, part.bytes);
        }
        for (const part of shared.values()) bytes += part;
        if (bytes !== store.usedBytes)
          throw new Violation('I6', `h${host.number} counts ${store.usedBytes} bytes used, and ${bytes} are`);
      }
      if (host.running === undefined) continue;
      this.#saysWhatIsDurable(host.running);
      this.#countsMembers(host.running);
      this.#isConnectedWithMembers(host.running);
    }
  }

  /**
   * Checks that the host reports of its own logs only what they have, and believes of others' logs only what they once
   * had.
   */
  #saysWhatIsDurable(by: Running): void {
    for (const { position } of by.machine.heartbeat().stores) this.#isDurable(by, position);
    for (const { host, position } of by.machine.known.positions()) {
      if (host === by.host.id) this.#isDurable(by, position);
      else if (this.#world.logs.placeOf(position.digest)?.seq !== position.seq)
        throw new Violation(
          'I5',
          `h${by.host.number} has read operation ${position.seq} of a log, which never was durable`,
        );
    }
  }

  #serves({ by, to, what }: Extract<Happening, { is: 'serves' }>): void {
    if (!this.#admits(by, to)) throw new Violation('I8', `h${by.host.number} gives ${what} to a stranger`);
  }

  /** Also for what began earlier: it must end with the connection. */
  #isConnectedWithMembers(by: Running): void {
    for (const other of this.#world.hosts) {
      if (other === by.host || this.#admits(by, other.id) || !this.#world.network.isUp(by.host, other)) continue;
      throw new Violation('I8', `h${by.host.number} is connected with a stranger, h${other.number}`);
    }
  }

  /** A member by its own configuration, or a host that was admitted since, which may read. */
  #admits(by: Running, host: HostId): boolean {
    const member = memberOf(by, host);
    return member === undefined ? this.#world.network.admitted.has(host) : member.state !== 'revoked';
  }

  /** Only copies at active, trusted members may count. */
  #countsMembers(by: Running): void {
    for (const { parcel } of this.#world.listed()) {
      for (const { host, counts } of by.machine.known.holders(parcel.ref.id)) {
        const member = counts ? memberOf(by, host) : undefined;
        if (counts && (member?.state !== 'active' || member.trust !== 'trusted'))
          throw new Violation('I8', `h${by.host.number} counts a copy at a stranger`);
      }
    }
  }
}

const memberOf = (by: Running, host: HostId): Member | undefined =>
  by.host.disk.config.members.find(({ host: id }) => id === host);

function isMember(by: Running, host: HostId, does: string): void {
  const state = memberOf(by, host)?.state;
  if (state === undefined || state === 'revoked') throw new Violation('I8', `h${by.host.number} ${does} a stranger`);
}
