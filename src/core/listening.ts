/**
 * Listening: takes in what other hosts say by gossip (heartbeats, claims, hints of heads, failed audits), judges each
 * host live, suspect or dead by that and by its silence, and asks for news that has been announced but has not arrived.
 *
 * Gossip carries only hints, which may be lost, late or false. What is held is learnt from logs (log-reading.ts), and
 * what is wanted from verified heads.
 *
 * Driven by the machine.
 */
import type { Auditing } from './auditing.js';
import { ClaimedRows } from './claimed-rows.js';
import { CLAIM_MS_MAX, type Claims } from './claims.js';
import { type ClusterConfig, mayHoldCopies, mayTakeCopies } from './cluster-config.js';
import type { Effect } from './effects.js';
import { unreachable } from './fault.js';
import type { Heeding } from './heeding.js';
import type { Holdings } from './holdings.js';
import type { HostView } from './host-view.js';
import type { Hosts } from './hosts.js';
import type { HostId, ParcelId } from './ids.js';
import type { LogReading } from './log-reading.js';
import type { Marks } from './marks.js';
import {
  CLAIMS_PER_MESSAGE_MAX,
  FAILED_AUDITS_PER_MESSAGE_MAX,
  type GossipMessage,
  type Heartbeat,
} from './messages.js';
import type { ParcelTable, Row } from './parcel-table.js';
import type { Placement } from './placement.js';
import type { Wanted } from './wanted.js';

/** What listening must know of its machine. */
export interface ListeningContext {
  readonly table: ParcelTable;
  readonly holdings: Holdings;
  readonly hosts: Hosts;
  readonly placement: Pick<Placement, 'storeCounts'>;
  readonly claims: Claims;
  readonly wanted: Wanted;
  readonly logs: Pick<LogReading, 'apply'>;
  readonly auditing: Pick<Auditing, 'heard'>;
  readonly nowMs: () => number;
  readonly config: () => ClusterConfig;
  readonly heeding: Pick<Heeding, 'isHeeded'>;
  readonly emit: (effect: Effect) => void;
  readonly marks: Marks;
}

export class Listening {
  readonly #of: ListeningContext;
  readonly #claimedRows: ClaimedRows;

  constructor(context: ListeningContext) {
    this.#of = context;
    this.#claimedRows = new ClaimedRows(context.table);
  }

  hear(from: HostId, message: GossipMessage): void {
    const host = this.#of.hosts.get(from);
    if (host === undefined) return;
    switch (message.kind) {
      case 'heartbeat':
        this.#hearHeartbeat(host, message);
        return;
      case 'log':
        if (message.segment.host === from) this.#of.logs.apply(message.segment);
        return;
      case 'heads':
        for (const hint of message.heads) if (this.#of.heeding.isHeeded(from, hint.source)) this.#of.wanted.hear(hint);
        if (message.heads.some(hint => this.#of.wanted.isNews(hint))) this.askState(host);
        return;
      case 'claims': {
        if (!mayTakeCopies(host.member)) return;
        this.#claimedRows.recount(from);
        for (const { parcel, ttlMs } of message.claims.slice(0, CLAIMS_PER_MESSAGE_MAX)) {
          const row = this.#rowToClaim(from, parcel);
          if (row === undefined) continue;
          // The row need not be looked at: if this host has not begun with it, it sees the claim when its turn comes.
          if (!this.#of.claims.hear(row, from, this.#of.nowMs() + Math.min(ttlMs, CLAIM_MS_MAX))) break;
        }
        for (const parcel of message.withdrawn.slice(0, CLAIMS_PER_MESSAGE_MAX)) {
          const row = this.#of.table.find(parcel);
          if (row === undefined) continue;
          this.#of.claims.withdraw(row, from);
          this.#of.marks.mark(row);
        }
        return;
      }
      case 'failed-audits':
        if (mayTakeCopies(host.member) && !host.isSetAside)
          this.#of.auditing.heard(message.failed.slice(0, FAILED_AUDITS_PER_MESSAGE_MAX));
        return;
      case 'config':
        // Configurations are compared and fetched by membership, which alone can judge them.
        return;
      default:
        unreachable(message);
    }
  }

  /**
   * @returns undefined for an unknown parcel when the host may make no more rows: rows stay for ever, so a flood of
   * claims must not make them.
   */
  #rowToClaim(from: HostId, parcel: ParcelId): Row | undefined {
    const { table, claims } = this.#of;
    const known = table.find(parcel);
    if (known !== undefined || !claims.mayClaim(from) || !this.#claimedRows.mayMake(from)) return known;
    const row = table.rowOf(parcel);
    this.#claimedRows.made(from, row);
    return row;
  }

  /** Gossip of an earlier start than its last one, which is none that was said before. */
  hearEarlierStart(from: HostId): void {
    const host = this.#of.hosts.get(from);
    if (host !== undefined && this.#of.hosts.heardEarlierStart(host, this.#of.nowMs())) this.#setAside(host);
  }

  #hearHeartbeat(host: HostView, heartbeat: Heartbeat): void {
    const boot = this.#of.hosts.heardBoot(host, heartbeat, this.#of.nowMs());
    if (boot === 'older') {
      // A late message, or one of two machines with one identity that has outlived the other: it must learn that it is
      // ignored.
      host.spokeAsOlder = true;
      this.askState(host);
      return;
    }
    if (boot === 'duplicate') {
      this.#setAside(host);
      return;
    }
    // Its fetches ended with its last start; it will claim again what it still pursues.
    if (boot === 'restarted' && host.heartbeat !== undefined)
      for (const row of this.#of.claims.forgetHost(host.id)) this.#of.marks.mark(row);
    if (host.isSetAside && this.#of.nowMs() >= host.setAsideUntilMs) this.#takeBack(host);
    const roomBefore = host.freeBytes;
    // Before its first heartbeat, a host's stores are those of its logs.
    const storesBefore = host.heartbeat === undefined ? undefined : host.reports;
    this.#of.hosts.heartbeat(host, heartbeat, this.#of.nowMs());
    if (heartbeat.configVersion > this.#of.config().version) this.#of.emit({ do: 'ask-config', host: host.id });
    const behind = this.#isBehind(host);
    if (!host.caughtUp && behind) this.askState(host);
    else if (!host.caughtUp) this.#caughtUp(host);
    else if (behind) this.#of.hosts.expectNews(host, this.#of.nowMs());
    // Our question tells it so.
    else if (this.#hasForgotten(host, storesBefore)) this.askState(host);
    // A store that came or went counts, or no longer counts, from now on; more room elsewhere only changes who is asked
    // first.
    if (storesBefore === undefined || !haveSameKeys(storesBefore, host.reports)) {
      this.#of.marks.heldBy(host.id);
      for (const slot of this.#of.holdings.slotsOf(host.id)) {
        if (!this.#of.placement.storeCounts(slot)) continue;
        for (const row of this.#of.table.heldBy(slot)) this.#of.claims.withdraw(row, host.id);
      }
    }
    if (host.freeBytes > roomBefore && roomBefore === 0) this.#of.marks.short();
  }

  #setAside(host: HostView): void {
    if (host.isSetAside) return;
    this.#of.hosts.setAside(host, true);
    this.#of.emit({ do: 'note-duplicate', host: host.id, duplicate: true });
    this.#of.marks.heldBy(host.id);
  }

  /** The two machines no longer alternate: one of them is off. */
  #takeBack(host: HostView): void {
    this.#of.hosts.setAside(host, false);
    this.#of.emit({ do: 'note-duplicate', host: host.id, duplicate: false });
    this.#of.marks.heldBy(host.id);
  }

  /** The host has announced more than has reached us. */
  #isBehind({ id, member, heartbeat }: HostView): boolean {
    if (heartbeat === undefined) return false;
    if (heartbeat.headsDigest !== this.#of.wanted.digest()) return true;
    return (
      mayHoldCopies(member) && heartbeat.stores.some(({ position }) => !this.#of.holdings.hasReached(id, position))
    );
  }

  /** Where the host's positions and ours differ, as a text to compare; undefined if neither side has more. */
  whatDiffers(host: HostView): string | undefined {
    // It is slow to learn, or another machine with its identity is asked alternately with it.
    if (host.spokeAsOlder) return 'an earlier start';
    // A store whose log was doubted a short time ago cannot learn yet how far the log was written.
    if (!this.#isBehind(host) && !this.#hasForgotten(host, host.reports)) return undefined;
    const ends = [...host.reports.values()].map(({ position }) => position.digest);
    return [host.heartbeat?.headsDigest, this.#of.wanted.digest(), ...ends].join(' ');
  }

  /**
   * True when a host does not know how far it has written: it was restored from an old image, or another machine with
   * its identity wrote more and is off now. Its log may overtake one heartbeat, but not two.
   */
  #hasForgotten({ id, reports }: HostView, before: HostView['reports'] | undefined): boolean {
    for (const [store, { position }] of reports) {
      const isStill = before?.get(store)?.position.digest === position.digest;
      if (isStill && this.#of.holdings.isPast(id, position)) return true;
    }
    return false;
  }

  #caughtUp(host: HostView): void {
    host.caughtUp = true;
    this.#of.marks.short();
  }

  /** Judges all hosts that are due. */
  judge(): void {
    this.#judgeDue();
    // Copies on hosts that are now waited for longer, or no longer, count until another time.
    for (const host of this.#of.hosts.judgeOutage(this.#of.nowMs())) this.#of.marks.heldBy(host.id);
    // Hosts that are newly missed, or no longer in an outage, may be due once more.
    if (this.#of.hosts.settle(this.#of.nowMs()) <= this.#of.nowMs()) this.#judgeDue();
    const outage = this.#of.hosts.outageNews();
    if (outage !== undefined) this.#of.emit({ do: 'note-outage', hosts: outage });
  }

  #judgeDue(): void {
    for (const host of this.#of.hosts.due(this.#of.nowMs())) {
      if (this.#of.nowMs() >= host.newsDueMs) {
        host.newsDueMs = Number.POSITIVE_INFINITY;
        if (this.#isBehind(host)) this.askState(host);
      }
      if (this.#of.hosts.isToBeAsked(host) && this.#of.nowMs() >= host.askNotBeforeMs) this.askState(host);
      const absence = this.#of.hosts.learnAbsence(host, this.#of.nowMs());
      if (absence !== undefined) this.#of.emit({ do: 'note-absence', absence });
      if (this.#of.nowMs() < host.livenessNextMs && host.liveness === 'live') continue;
      if (!this.#of.hosts.judge(host, this.#of.nowMs())) continue;
      this.#of.emit({ do: 'note-liveness', host: host.id, state: host.liveness });
      if (host.liveness === 'live') this.askState(host);
      if (host.liveness === 'dead') for (const row of this.#of.claims.forgetHost(host.id)) this.#of.marks.mark(row);
      this.#of.marks.heldBy(host.id);
      // Its absence can leave a parcel with a single place, which makes it short.
      this.#of.marks.from(host.id);
      this.#of.marks.short();
    }
  }

  /**
   * Asks for what a host has written. Only the writer itself can settle what it holds; while it is out of reach, any
   * host that has read its logs may tell. These are asked one after the other, because the one asked may not have them
   * either.
   */
  askState(writer: HostView): void {
    const asked = writer.connected ? writer : this.#of.hosts.nextRelay();
    if (asked !== undefined && this.#of.hosts.mayAsk(asked, this.#of.nowMs())) {
      this.#of.emit({ do: 'ask-state', host: asked.id });
    }
  }
}

const haveSameKeys = <Key>(a: ReadonlyMap<Key, unknown>, b: ReadonlyMap<Key, unknown>): boolean =>
  a.size === b.size && [...a.keys()].every(key => b.has(key));
