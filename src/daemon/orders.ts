/**
 * Orders: what one host asks another to do, which today is to take a snapshot. Given on any host, carried out at the
 * origin.
 */
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import {
  askBackup,
  type BackupOrder,
  type BackupReply,
  backupRefused,
  serveBackup,
  type TakenSnapshot,
  UNREAD_MAX,
} from '../net/backup-protocol.js';
import type { Net } from '../net/net.js';
import type { Origin } from './origin.js';
import type { Roster } from './roster.js';
import { SomethingMissing } from './something-missing.js';
import type { SourceNames } from './source-names.js';

/** What the person who asks accepts. */
export type Accepted = Pick<BackupOrder, 'acceptChanges' | 'acceptMissing'>;

export class Orders {
  readonly #net: Net;
  readonly #origin: Origin;
  readonly #roster: Roster;
  readonly #names: Pick<SourceNames, 'nameOf'>;
  readonly #log: Logger;

  constructor({
    net,
    origin,
    roster,
    names,
    log,
  }: {
    readonly net: Net;
    readonly origin: Origin;
    readonly roster: Roster;
    readonly names: Pick<SourceNames, 'nameOf'>;
    readonly log: Logger;
  }) {
    this.#net = net;
    this.#origin = origin;
    this.#roster = roster;
    this.#names = names;
    this.#log = log;
  }

  async serve(): Promise<void> {
    await serveBackup(this.#net, async ({ source, ...accepted }, from): Promise<BackupReply> => {
      if (!this.#roster.isTrusted(from)) return { kind: 'refused', because: 'failed' };
      if (this.#origin.ownSource(source) === undefined) return { kind: 'refused', because: 'unknown-source' };
      try {
        return { kind: 'taken', taken: await this.#take(source, accepted) };
      } catch (error) {
        // The asker gets only a code; the reason is in the log of the host that can do something about it.
        this.#log.warn(
          { code: 'BACKUP_FAILED', source, err: error },
          'a snapshot that a member asked for was not taken',
        );
        if (error instanceof SomethingMissing) return { kind: 'something-missing', missing: error.missing };
        const missing = error instanceof ClusterError && error.code === 'SOURCE_MISSING';
        return { kind: 'refused', because: missing ? 'source-missing' : 'failed' };
      }
    });
  }

  /**
   * @throws ClusterError NOT_A_MEMBER, SOURCE_MISSING, SomethingMissing, SOURCE_UNKNOWN, ORIGIN_REVOKED, BACKUP_FAILED,
   *   PEER_UNREACHABLE
   */
  async backup(source: SourceId, accepted: Accepted, signal: AbortSignal): Promise<TakenSnapshot> {
    const { origin, source: name } = splitSourceId(source);
    const own = this.#roster.member(this.#roster.self);
    if (own === undefined || own.state === 'revoked') {
      throw new ClusterError(
        'NOT_A_MEMBER',
        'this host is not a member of the cluster any more, so nobody would take copies of it: no snapshot was taken. What it has can still be looked at and restored. To back it up again, let it join with a new state folder',
        { blame: 'operator' },
      );
    }
    if (origin === this.#roster.self) return this.#take(source, accepted);
    const peer = this.#roster.peerOf(origin);
    const host = this.#roster.nameOf(origin);
    if (this.#roster.member(origin)?.state === 'revoked') {
      throw new ClusterError(
        'ORIGIN_REVOKED',
        `${host}, the origin of ${name}, was revoked, so no more snapshots of it are taken; existing ones stay, and can be restored`,
        { blame: 'operator' },
      );
    }
    if (peer === undefined || !this.#net.connected().includes(peer)) {
      throw new ClusterError(
        'ORIGIN_AWAY',
        `${host}, the origin of ${name}, is not reachable now; no snapshot was taken. Switch it on and try again`,
        { blame: 'passing' },
      );
    }
    const reply = await askBackup(this.#net, peer, { source, ...accepted }, { signal });
    if (reply.kind === 'something-missing') throw new SomethingMissing(this.#names.nameOf(source), reply.missing);
    if (reply.kind === 'refused') throw backupRefused(reply.because, name, host);
    return reply.taken;
  }

  async #take(source: SourceId, accepted: Accepted): Promise<TakenSnapshot> {
    const taken = await this.#origin.backup(source, accepted);
    return {
      snapshot: taken.snapshot,
      timeMs: taken.timeMs,
      files: taken.files,
      bytes: taken.bytes,
      stale: taken.stale,
      missed: taken.missed,
      unchanged: taken.reused === taken.parcels && taken.filesGone === 0 && taken.filesChanged === 0,
      unread: taken.unread.slice(0, UNREAD_MAX).map(({ path, because }) => ({ path, because })),
      unentered: taken.unentered,
      braked: taken.braked,
      letGo: taken.letGo,
    };
  }
}
