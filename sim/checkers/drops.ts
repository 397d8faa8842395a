/**
 * Drops: checks that no drop takes a needed copy (I1), that every commit had its grants (I2), which hosts granted and
 * from what (I3), and that no nonce is used twice (I4). Also counts void attempts and those that yielded.
 *
 * A full check compares the attempts it has seen with those that the machines have, and each parcel's last drop with
 * the copies that were shown for it and with those that are left.
 *
 * It sees the disks. A copy is a parcel that is PRESENT by the durable log with its bytes intact, whether its host is
 * up or not: a granter may stop at any moment. Copies that a fault took or spoiled, or that expired, after the last of
 * the committed attempts was entered lower the number that a drop must leave. That number, and which copies count,
 * follow from the configuration that the host of that attempt and all its granters used.
 *
 * I1 speaks of wanted parcels, and nothing else is ever dropped: what nobody wants expires. So every drop is judged,
 * whichever head lists the parcel or whichever hold keeps it, and also where only the dropper still wanted it.
 */
import type { ClusterConfig } from '../../src/core/cluster-config.js';
import type { DropProof } from '../../src/core/drop-proof.js';
import type { Effect } from '../../src/core/effects.js';
import type { HostId, Nonce, ParcelId, StoreId } from '../../src/core/ids.js';
import { countingDomains } from '../counting-domains.js';
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
  /** The store whose copy is read whole. */
  readonly proves: StoreId;
  readonly enteredAt: number;
  /** The configuration in use at the dropper then. */
  readonly config: ClusterConfig;
  readonly asked: Set<HostId>;
  /** A host that was asked has a newer configuration. */
  sawNewer: boolean;
  state: 'open' | 'over' | 'committed';
  /** The proof by which it committed. */
  proof: DropProof | undefined;
}

interface GivenGrant {
  readonly by: HostId;
  readonly parcel: ParcelId;
  readonly at: number;
  /** The configuration by which the granter counts. */
  readonly config: ClusterConfig;
}

/** A removal that the machine has asked for and that is not done yet. */
interface Removal {
  readonly why: 'drop' | 'expire';
  readonly enteredAt: number;
  /**
   * The configurations by which the dropper and the granters counted. They are one and the same, unless a rule is
   * missing; then enough copies must be left by each.
   */
  readonly configs: readonly ClusterConfig[];
}

/** What the last drop of a parcel had to leave, by each configuration that counted for it. */
interface Due {
  readonly enteredAt: number;
  readonly due: readonly { readonly config: ClusterConfig; readonly before: number; readonly copies: number }[];
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
  /** Grant requests whose bytes were read. */
  readonly #reads = new Set<string>();
  /** When copies of a parcel went in other ways than by a drop: faults, expiry. */
  readonly #losses = new Map<ParcelId, number[]>();
  /** When the last of a parcel's committed attempts was entered, and under which configurations. */
  readonly #lastEntry = new Map<ParcelId, Pick<Removal, 'enteredAt' | 'configs'>>();
  readonly #due = new Map<ParcelId, Due>();
  /** Of the committed attempts on a parcel, the one that was entered last. */
  readonly #lastCommitted = new Map<ParcelId, Attempt>();
  /**
   * When a host's copy of a parcel last went in another way than by a drop; without the parcel in the key: all its
   * copies.
   */
  readonly #goneAt = new Map<string, number>();
  /** The grant request that the machine is handling. */
  #askedFor: { readonly by: Running; readonly parcel: ParcelId } | undefined;
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
        else if (happening.op.op === 'corrupt') this.#gone(happening.host, happening.op.parcel);
        return;
      case 'injected-loss':
        this.#world.counts.injectedLosses += 1;
        this.#lost(happening.parcel);
        this.#gone(happening.host, happening.parcel);
        return;
      case 'disk-replaced':
        this.#goneAt.set(`${happening.host.number}`, this.#order);
        return;
      case 'stopped':
        for (const key of [...this.#removals.keys()])
          if (key.startsWith(`${happening.by.host.number} `)) this.#removals.delete(key);
        for (const attempt of this.#lastOf.values()) if (attempt.by === happening.by) this.#end(attempt);
        return;
      case 'started':
      case 'stepped':
      case 'serves':
      case 'taking-in':
      case 'received':
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
      case 'ask-grants':
        for (const host of effect.holders) this.#attempts.get(effect.attempt)?.asked.add(host);
        return;
      case 'cancel-attempt': {
        const attempt = this.#attempts.get(effect.attempt);
        if (attempt?.by === by) this.#givenUp(attempt);
        return;
      }
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
    this.#askedFor = input.is === 'grant-asked' ? { by, parcel: input.parcel } : undefined;
    switch (input.is) {
      case 'grant-answered': {
        const attempt = this.#attempts.get(input.attempt);
        const version = input.answer?.configVersion ?? 0;
        if (attempt?.by === by && attempt.asked.has(input.from) && version > attempt.config.version)
          attempt.sawNewer = true;
        return;
      }
      case 'own-not-proved': {
        const attempt = this.#attempts.get(input.attempt);
        if (attempt !== undefined) this.#end(attempt);
        return;
      }
      case 'not-dropped': {
        const attempt = this.#attempts.get(input.attempt);
        if (attempt === undefined) return;
        this.#forgetRemovals(by.host, `${attempt.parcel}`);
        attempt.state = 'over';
        return;
      }
      case 'dropped': {
        const attempt = this.#attempts.get(input.attempt);
        if (attempt !== undefined) attempt.state = 'over';
        return;
      }
      case 'not-expired':
        this.#forgetRemovals(by.host, `${input.parcel}`);
        return;
      case 'store-gone':
        this.#forgetRemovals(by.host, `${input.store} `);
        for (const attempt of this.#lastOf.values())
          if (attempt.by === by && attempt.proof?.store === input.store) attempt.state = 'over';
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

  #gone(host: SimHost, parcel: ParcelId): void {
    this.#goneAt.set(`${host.number} ${parcel}`, this.#order);
  }

  // ---------------------------------------------------------------------------------------------------------- attempts

  #entered(by: Running, { attempt: nonce, parcel, store }: Effects<'prove-own'>): void {
    const isUsed = this.#attempts.has(nonce);
    const attempt: Attempt = {
      by,
      parcel,
      proves: store,
      enteredAt: this.#order,
      config: by.host.disk.config,
      asked: new Set(),
      sawNewer: false,
      state: 'open',
      proof: undefined,
    };
    const key = `${by.host.number} ${parcel}`;
    const before = this.#lastOf.get(key);
    if (before !== undefined) this.#end(before);
    this.#lastOf.set(key, attempt);
    this.#attempts.set(nonce, attempt);
    if (isUsed) throw new Violation('I4', `${nameOf(by)} reuses the nonce ${nonce}`);
  }

  #end(attempt: Attempt): void {
    if (attempt.state === 'open') this.#world.counts.voidAttempts += 1;
    attempt.state = 'over';
  }

  /** Once an attempt has committed, cancelling it only ends what it was still waiting for. */
  #givenUp(attempt: Attempt): void {
    if (attempt.state !== 'open') return;
    if (this.#askedFor?.by === attempt.by && this.#askedFor.parcel === attempt.parcel) this.#world.counts.yields += 1;
    this.#end(attempt);
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
    if (proof.configVersion !== config.version || attempt.config !== config)
      throw new Violation('I2', `${nameOf(by)} drops ${short(parcel)} by another configuration than is in use there`);
    if (attempt.sawNewer)
      throw new Violation('I2', `${nameOf(by)} drops ${short(parcel)} though an answer came by a newer configuration`);
    const domains = new Set<string>();
    for (const grant of given) {
      const domain = grant.by === by.host.id ? undefined : this.#domainOf(grant.by, parcel, config);
      if (domain !== undefined) domains.add(domain);
    }
    // The copy that stays in another store of the host was read for the attempt, and counts for the host itself.
    const stays = by.host.stores.find(({ id }) => id === attempt.proves);
    const ownDomain = this.#domainOf(by.host.id, parcel, config);
    const isSecond = attempt.proves !== store && stays?.present.has(parcel) && ownDomain !== undefined;
    if (isSecond) domains.add(ownDomain);
    const source = this.#world.catalog.parcel(parcel)?.source;
    const copiesWanted = config.sources.find(policy => policy.source === source)?.copies ?? Number.POSITIVE_INFINITY;
    // For a host's second copy, as many hosts have the parcel after as before: I1 checks that.
    if (domains.size < (isSecond ? 1 : copiesWanted)) {
      throw new Violation(
        'I2',
        `${nameOf(by)} drops ${short(parcel)} on ${domains.size} grants for its attempt, and ${copiesWanted} are wanted`,
      );
    }
    if ((this.#lastGrant.get(`${by.host.number} ${parcel}`) ?? 0) > attempt.enteredAt)
      throw new Violation('I3', `${nameOf(by)} granted ${short(parcel)} while it was about to drop it`);
    attempt.state = 'committed';
    attempt.proof = proof;
    if ((this.#lastCommitted.get(parcel)?.enteredAt ?? 0) < attempt.enteredAt) this.#lastCommitted.set(parcel, attempt);
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
    const own = this.#lastOf.get(`${by.host.number} ${parcel}`);
    if (own?.by === by && own.state !== 'over')
      throw new Violation('I3', `${nameOf(by)} granted ${short(parcel)} while it was about to drop it`);
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
      this.#gone(host, parcel);
      return;
    }
    const entry = { enteredAt: removal?.enteredAt ?? this.#order, configs: removal?.configs ?? [host.disk.config] };
    const before = this.#lastEntry.get(parcel);
    const last = before !== undefined && before.enteredAt > entry.enteredAt ? before : entry;
    const { enteredAt } = last;
    this.#lastEntry.set(parcel, last);
    const wasRight = store.files.get(parcel)?.content === parcel;
    if (!wasRight) return;
    const due = [...new Set(last.configs)].map(config => {
      const before = this.#countWith(host, parcel, config);
      return { config, before, copies: Math.min(this.#copiesWanted(parcel, config), before) };
    });
    this.#due.set(parcel, { enteredAt, due });
    const lacking = this.#shortOf(parcel, { enteredAt, due });
    if (lacking === undefined) return;
    const left = `${lacking.after} copies are left of ${lacking.before}, and ${this.#copiesWanted(parcel, lacking.config)} are wanted`;
    throw new Violation('I1', `h${host.number} dropped ${short(parcel)}: ${left} (version ${lacking.config.version})`);
  }

  /** Where fewer copies are left than the last drop had to leave, though nothing else has taken any since. */
  #shortOf(parcel: ParcelId, { enteredAt, due }: Due): (Due['due'][number] & { readonly after: number }) | undefined {
    const losses = (this.#losses.get(parcel) ?? []).filter(at => at >= enteredAt).length;
    for (const each of due) {
      const after = this.#world.copies(parcel, each.config);
      if (after < each.copies - losses) return { ...each, after };
    }
    return undefined;
  }

  #copiesWanted(parcel: ParcelId, config: ClusterConfig): number {
    const source = this.#world.catalog.parcel(parcel)?.source;
    return config.sources.find(policy => policy.source === source)?.copies ?? 0;
  }

  /** The number of copies while this host's still counted. */
  #countWith(host: SimHost, parcel: ParcelId, config: ClusterConfig): number {
    const own = this.#domainOf(host.id, parcel, config);
    const after = this.#world.copies(parcel, config);
    if (own === undefined) return after;
    const isTaken = this.#world.hosts.some(
      ({ id, lost, stores }) =>
        !lost && this.#domainOf(id, parcel, config) === own && stores.some(store => store.keeps(parcel)),
    );
    return isTaken ? after : after + 1;
  }

  /** Undefined where no copy of the parcel would count: not at an active, trusted member, or at the parcel's origin. */
  #domainOf(id: HostId, parcel: ParcelId, config: ClusterConfig): string | undefined {
    return id === this.#world.catalog.parcel(parcel)?.origin ? undefined : countingDomains(config).get(id);
  }

  // ------------------------------------------------------------------------------------------------------------- in full

  full(): void {
    for (const [nonce, grants] of this.#grants) {
      const parcel = this.#attempts.get(nonce)?.parcel;
      if (grants.some(grant => grant.parcel !== parcel))
        throw new Violation('I4', `a grant answers ${nonce}, by which nobody asked for it`);
    }
    const underWay = new Map<Running, number>();
    for (const { by, parcel, enteredAt, state } of this.#lastOf.values()) {
      if (state === 'over') continue;
      underWay.set(by, (underWay.get(by) ?? 0) + 1);
      if ((this.#lastGrant.get(`${by.host.number} ${parcel}`) ?? 0) > enteredAt)
        throw new Violation('I3', `${nameOf(by)} has granted ${short(parcel)}, and is about to drop it`);
    }
    for (const { running } of this.#world.hosts) {
      if (running === undefined) continue;
      const { attempts } = running.machine.known.pending();
      const seen = underWay.get(running) ?? 0;
      if (attempts !== seen)
        throw new Violation('I2', `${nameOf(running)} has ${attempts} attempts under way, and ${seen} were entered`);
    }
    for (const [parcel, { enteredAt, proof }] of this.#lastCommitted)
      for (const granter of proof?.granters ?? []) this.#stillHolds(granter, parcel, enteredAt);
    for (const [parcel, due] of this.#due) {
      const lacking = this.#shortOf(parcel, due);
      if (lacking === undefined) continue;
      throw new Violation(
        'I1',
        `${short(parcel)} has ${lacking.after} copies, and its last drop had to leave ${lacking.copies}`,
      );
    }
  }

  /** None of the hosts that granted to the last of all attempts can have dropped its copy since. */
  #stillHolds(granter: HostId, parcel: ParcelId, sinceAt: number): void {
    for (const host of this.#world.hosts) {
      if (host.id !== granter) continue;
      if (host.lost || host.stores.some(store => store.keeps(parcel))) return;
      const goneAt = Math.max(
        this.#goneAt.get(`${host.number}`) ?? 0,
        this.#goneAt.get(`${host.number} ${parcel}`) ?? 0,
      );
      if (goneAt > sinceAt) return;
    }
    throw new Violation(
      'I2',
      `${granter.slice(0, 8)} granted ${short(parcel)} for the last drop of it, and no longer has it`,
    );
  }
}

const askId = (by: Running, ask: number): string => `${by.host.number}/${by.boot}/${ask}`;
const removalId = (host: SimHost, store: StoreId, parcel: ParcelId): string => `${host.number} ${store} ${parcel}`;
const nameOf = (by: Running): string => `h${by.host.number}`;
const short = (parcel: ParcelId): string => parcel.slice(0, 8);
