/**
 * Open invites: those by which hosts may still join, as far as this host knows: its own and those that it has heard of
 * from members.
 *
 * An invite counts while it has not expired and its signer is an admin; the membership supplies the time and the
 * admins.
 */
import type { ClusterId } from '../core/ids.js';
import type { Invite } from './invite.js';
import type { Notes } from './notes.js';

/** Invites that are open at once. */
export const INVITES_MAX = 256;

export class OpenInvites {
  readonly #notes: Notes<Invite>;
  readonly #cluster: ClusterId;
  readonly #isAdmin: (key: string) => boolean;
  readonly #nowMs: () => number;

  constructor({
    notes,
    cluster,
    isAdmin,
    nowMs,
  }: {
    readonly notes: Notes<Invite>;
    readonly cluster: ClusterId;
    /** Whether this is a key, in hex, of an admin in the configuration in use. */
    readonly isAdmin: (key: string) => boolean;
    readonly nowMs: () => number;
  }) {
    this.#notes = notes;
    this.#cluster = cluster;
    this.#isAdmin = isAdmin;
    this.#nowMs = nowMs;
  }

  open(): readonly Invite[] {
    const nowMs = this.#nowMs();
    return [...this.#notes.values()].filter(invite => invite.expiresMs > nowMs && this.isOurs(invite));
  }

  has(id: string): boolean {
    return this.#notes.has(id);
  }

  /** When the latest of them was made, by its admin's clock; -Infinity for none. */
  get latestMadeMs(): number {
    return Math.max(Number.NEGATIVE_INFINITY, ...[...this.#notes.values()].map(({ madeMs }) => madeMs));
  }

  isOurs({ cluster, admin }: Invite): boolean {
    return cluster === this.#cluster && this.#isAdmin(admin);
  }

  hasExpired({ expiresMs }: Invite): boolean {
    return expiresMs <= this.#nowMs();
  }

  /** Durable when it returns. */
  async keep(invite: Invite): Promise<'new' | 'known' | 'full'> {
    if (this.#notes.has(invite.id)) return 'known';
    // Invites also come from other hosts: on a host that makes none, expired ones would otherwise fill the places until
    // the next start.
    await this.prune();
    if (this.#notes.size >= INVITES_MAX) return 'full';
    await this.#notes.add(invite);
    return 'new';
  }

  /** Forgets invites that are no longer of use. */
  async prune(): Promise<void> {
    const nowMs = this.#nowMs();
    await this.#notes.prune(({ expiresMs, cluster }) => expiresMs <= nowMs || cluster !== this.#cluster);
  }
}
