/**
 * Drops: that no drop takes a copy that is needed (I1), that every commit had its grants (I2), who granted and from what
 * (I3), and that no nonce comes twice (I4). Also counts attempts that were void and those that gave way.
 *
 * It sees the disks. A copy is what is PRESENT by the durable log with its bytes right, whether its host is up or not;
 * what a fault took or spoiled after the last of the committed attempts was entered lowers what a drop must leave.
 */
import type { ClusterConfig } from '../../src/core/cluster-config.js';
import type { Effect } from '../../src/core/effects.js';
import type { HostId, Nonce, ParcelId, StoreId } from '../../src/core/ids.js';
import type { Happening } from '../happening.js';
import type { Running, SimHost } from '../sim-host.js';
import type { StoreDisk } from '../store-disk.js';
import { Violation } from '../violation.js';
import type { World } from '../world.js';
import type { Checker } from './checker.js';

type Effects<Do extends Effect['do']> = Extract<Effect, { do: Do }>;

interface Attempt {
  readonly by: Running;
  readonly parcel: ParcelId;
  /** Whose copy is read whole. */
  readonly proves: StoreId;
  readonly enteredAt: number;
  readonly untilMs: number;
  state: 'open' | 'over' | 'committed';
}

interface GivenGrant {
  readonly by: HostId;
  readonly parcel: ParcelId;
  readonly at: number;
  /** By which the granter counts. */
  readonly config: ClusterConfig;
}

/** A removal that the machine asked for and that is not done. */
interface Removal {
  readonly why: 'drop' | 'expire';
  readonly enteredAt: number;
  /** By which the dropper counted, and those who granted: no older one excuses what it leaves. */
  readonly configs: readonly ClusterConfig[];
}

export class DropChecker implements Checker {
  readonly #world: World;
  readonly #attempts = new Map<Nonce, Attempt>();
  /** The last attempt of each host on each parcel. */
  readonly #lastOf = new Map<string, Attempt>();
  readonly #grants = new Map<Nonce, GivenGrant[]>();
  readonly #removals = new Map<string, Removal>();
  /** When each host last granted a parcel. */
  readonly #lastGrant = new Map<string, number>();
  /** Questions whose bytes were read. */
  readonly #reads = new Set<string>();
  /** When copies of a parcel went otherwise than by a drop: faults, expiry. */
  readonly #losses = new Map<ParcelId, number[]>();
  /** When the last of a parcel's committed attempts was entered. */
  readonly #lastEntry = new Map<ParcelId, number>();
  #order = 0;

  constructor(world: World) {
    this.#world = world;
  }

  see(happening: Happening): void {
    this.#order += 1;
    switch (happening.is) {
      case 'effect':
        this.#effect(happening.by, happening.effect);
        return;
      case 'told':
        this.#told(happening);
        return;
      case 'read':
        this.#reads.add(askId(happening.by, happening.ask));
        return;
      case 'durable':
        if (happening.op.op === 'del') this.#removed(happening.host, happening.store, happening.op.parcel);
        return;
      case 'injected-loss':
        this.#world.counts.injectedLosses += 1;
        this.#lost(happening.parcel);
        return;
      case 'stopped':
        for (const key of [...this.#removals.keys()])
          if (key.startsWith(`${happening.by.host.number} `)) this.#removals.delete(key);
        for (const attempt of this.#lastOf.values()) if (attempt.by === happening.by) this.#end(attempt);
        return;
      case 'started':
      case 'stepped':
      case 'taking-in':
      case 'received':
      case 'disk-replaced':
        return;
      default:
        happening satisfies never;
    }
  }

  #effect(by: Running, effect: Effect): void {
    switch (effect.do) {
      case 'prove-own':
        this.#entered(by, effect);
        return;
      case 'read-possession':
        this.#yields(by, effect.parcel);
        return;
      case 'answer-grant':
        if (effect.answer.answer === 'grant') this.#granted(by, effect);
        return;
      case 'drop':
        this.#commits(by, effect);
        return;
      case 'expire': {
        const { parcel, store } = effect.warrant;
        this.#removals.set(removalId(by.host, store, parcel), {
          why: 'expire',
          enteredAt: this.#order,
          configs: [by.host.disk.config],
        });
        return;
      }
      default:
        return;
    }
  }

  #told({ by, input }: Extract<Happening, { is: 'told' }>): void {
    switch (input.is) {
      case 'own-not-proved': {
        const attempt = this.#attempts.get(input.attempt);
        if (attempt !== undefined) this.#end(attempt);
        return;
      }
      case 'not-dropped': {
        const attempt = this.#attempts.get(input.attempt);
        if (attempt !== undefined) this.#forgetRemovals(by.host, `${attempt.parcel}`);
        return;
      }
      case 'not-expired':
        this.#forgetRemovals(by.host, `${input.parcel}`);
        return;
      case 'store-gone':
        this.#forgetRemovals(by.host, `${input.store} `);
        return;
      default:
        return;
    }
  }

  #forgetRemovals(host: SimHost, part: string): void {
    for (const key of [...this.#removals.keys()])
      if (key.startsWith(`${host.number} `) && key.includes(part)) this.#removals.delete(key);
  }

  #lost(parcel: ParcelId): void {
    const losses = this.#losses.get(parcel) ?? [];
    losses.push(this.#order);
    this.#losses.set(parcel, losses);
  }

  // ---------------------------------------------------------------------------------------------------------- attempts

  #entered(by: Running, { attempt: nonce, parcel, store }: Effects<'prove-own'>): void {
    const isUsed = this.#attempts.has(nonce);
    const { timing } = by.host.disk.config;
    const attempt: Attempt = {
      by,
      parcel,
      proves: store,
      enteredAt: this.#order,
      untilMs: by.nowMs + timing.attemptMs,
      state: 'open',
    };
    const key = `${by.host.number} ${parcel}`;
    const before = this.#lastOf.get(key);
    if (before !== undefined) this.#end(before);
    this.#lastOf.set(key, attempt);
    this.#attempts.set(nonce, attempt);
    if (isUsed) throw new Violation('I4', `${nameOf(by)} uses the nonce ${nonce} once more`);
  }

  #end(attempt: Attempt): void {
    if (attempt.state !== 'open') return;
    attempt.state = 'over';
    this.#world.counts.voidAttempts += 1;
  }

  #yields(by: Running, parcel: ParcelId): void {
    const own = this.#lastOf.get(`${by.host.number} ${parcel}`);
    if (own?.by !== by || own.state !== 'open' || by.nowMs >= own.untilMs) return;
    this.#world.counts.yields += 1;
    this.#end(own);
  }

  #commits(by: Running, { proof }: Effects<'drop'>): void {
    const { nonce, parcel, store, granters } = proof;
    const attempt = this.#attempts.get(nonce);
    if (attempt?.by !== by || attempt.parcel !== parcel) {
      throw new Violation('I2', `${nameOf(by)} drops ${short(parcel)} without having entered DROPPING with ${nonce}`);
    }
    const { config } = by.host.disk;
    const given = (this.#grants.get(nonce) ?? []).filter(
      grant => grant.parcel === parcel && grant.at > attempt.enteredAt && granters.includes(grant.by),
    );
    const domains = new Set<string>();
    for (const grant of given) {
      const member = config.members.find(({ host }) => host === grant.by);
      if (member?.state === 'active' && grant.by !== by.host.id) domains.add(member.domain);
    }
    // What stays in another store of its own was read for it, and counts for the host itself.
    const stays = by.host.stores.find(({ id }) => id === attempt.proves);
    const self = config.members.find(({ host }) => host === by.host.id);
    if (attempt.proves !== store && stays?.present.has(parcel) && self?.state === 'active') domains.add(self.domain);
    const source = this.#world.catalog.parcel(parcel)?.source;
    const copiesWanted = config.sources.find(policy => policy.source === source)?.copies ?? Number.POSITIVE_INFINITY;
    if (domains.size < copiesWanted) {
      throw new Violation(
        'I2',
        `${nameOf(by)} drops ${short(parcel)} on ${domains.size} grants for its attempt, and ${copiesWanted} are wanted`,
      );
    }
    if ((this.#lastGrant.get(`${by.host.number} ${parcel}`) ?? 0) > attempt.enteredAt)
      throw new Violation('I3', `${nameOf(by)} granted ${short(parcel)} while it was about to drop it`);
    attempt.state = 'committed';
    this.#world.counts.drops += 1;
    this.#removals.set(removalId(by.host, store, parcel), {
      why: 'drop',
      enteredAt: attempt.enteredAt,
      configs: [config, ...given.map(grant => grant.config)],
    });
  }

  // ------------------------------------------------------------------------------------------------------------- grants

  #granted(by: Running, { ask, nonce, parcel }: Effects<'answer-grant'>): void {
    const grants = this.#grants.get(nonce) ?? [];
    grants.push({ by: by.host.id, parcel, at: this.#order, config: by.host.disk.config });
    this.#grants.set(nonce, grants);
    this.#lastGrant.set(`${by.host.number} ${parcel}`, this.#order);
    if (!this.#reads.delete(askId(by, ask)))
      throw new Violation('I3', `${nameOf(by)} granted ${short(parcel)} without reading it in that request`);
    for (const store of by.host.stores) {
      if (this.#removals.has(removalId(by.host, store.id, parcel)))
        throw new Violation('I3', `${nameOf(by)} granted ${short(parcel)} while it was removing it`);
    }
    if (!by.host.stores.some(store => store.present.has(parcel)))
      throw new Violation('I3', `${nameOf(by)} granted ${short(parcel)}, which is not PRESENT in any store of its own`);
  }

  // ------------------------------------------------------------------------------------------------------------ removals

  #removed(host: SimHost, store: StoreDisk, parcel: ParcelId): void {
    const key = removalId(host, store.id, parcel);
    const removal = this.#removals.get(key);
    this.#removals.delete(key);
    if (removal?.why === 'expire') {
      this.#world.counts.expiries += 1;
      this.#lost(parcel);
      return;
    }
    const enteredAt = Math.max(removal?.enteredAt ?? this.#order, this.#lastEntry.get(parcel) ?? 0);
    this.#lastEntry.set(parcel, enteredAt);
    const wasRight = store.files.get(parcel)?.content === parcel;
    if (!wasRight || !this.#isWanted(parcel)) return;
    const losses = (this.#losses.get(parcel) ?? []).filter(at => at >= enteredAt).length;
    const known = removal?.configs ?? [];
    const versionLeast = Math.max(0, ...known.map(({ version }) => version));
    const inUse = this.#world.hosts.filter(({ lost }) => !lost).map(({ disk }) => disk.config);
    const configs = new Set([...inUse, ...known].filter(({ version }) => version >= versionLeast));
    let worst = '';
    for (const config of configs) {
      const after = this.#world.copies(parcel, config);
      const before = this.#countWith(host, parcel, config);
      const copiesWanted = this.#copiesWanted(parcel, config);
      if (after >= Math.min(copiesWanted, before) - losses) return;
      worst = `${after} copies are left of ${before}, and ${copiesWanted} are wanted (version ${config.version})`;
    }
    throw new Violation('I1', `h${host.number} dropped ${short(parcel)}: ${worst}`);
  }

  #isWanted(parcel: ParcelId): boolean {
    const source = this.#world.catalog.parcel(parcel)?.source;
    if (source === undefined) return false;
    return this.#world.newestHead(source)?.snapshots.some(({ refs }) => refs.has(parcel)) === true;
  }

  #copiesWanted(parcel: ParcelId, config: ClusterConfig): number {
    const source = this.#world.catalog.parcel(parcel)?.source;
    return config.sources.find(policy => policy.source === source)?.copies ?? 0;
  }

  /** Copies as they were while this host's still counted. */
  #countWith(host: SimHost, parcel: ParcelId, config: ClusterConfig): number {
    const member = config.members.find(({ host: id }) => id === host.id);
    const origin = this.#world.catalog.parcel(parcel)?.origin;
    const after = this.#world.copies(parcel, config);
    if (member?.state !== 'active' || host.id === origin) return after;
    const isTaken = this.#world.hosts.some(
      other =>
        !other.lost &&
        other.id !== origin &&
        other.stores.some(store => store.keeps(parcel)) &&
        config.members.some(({ host: id, domain, state }) => {
          return id === other.id && domain === member.domain && state === 'active';
        }),
    );
    return isTaken ? after : after + 1;
  }
}

const askId = (by: Running, ask: number): string => `${by.host.number}/${by.boot}/${ask}`;
const removalId = (host: SimHost, store: StoreId, parcel: ParcelId): string => `${host.number} ${store} ${parcel}`;
const nameOf = (by: Running): string => `h${by.host.number}`;
const short = (parcel: ParcelId): string => parcel.slice(0, 8);
