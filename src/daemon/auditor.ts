/**
 * Auditor: carries out `ask-audit` and `note-unanswered`, and answers other hosts' audits from this host's disks.
 *
 * Invariants: every audit that this host starts ends in exactly one `audited` input. That input has no answer when the
 * holder is out of reach, breaks off, answers nonsense or takes longer than any read of the parcel should, or when the
 * service stops. This host's copy (at the origin, its files) is read only when there is an answer to compare it with.
 * When a read for another host finds a copy corrupt, that is in the log before the other host hears of it.
 *
 * Reads go through the dropper's places, so that at most two reads use a disk at a time, whoever asks.
 */
import type { Logger } from 'pino';
import type { AuditAnswer } from '../core/audit.js';
import type { Effect, ReadFailure } from '../core/effects.js';
import type { HostId, Nonce, ParcelId, PeerName, Possession, StoreId } from '../core/ids.js';
import { READ_BYTES_PER_MS } from '../core/read-rate.js';
import { type AuditAsk, askAudit, serveAudits } from '../net/audit-protocol.js';
import { withDeadline } from '../net/deadline.js';
import type { Net } from '../net/net.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { TIMER_MS_MAX } from '../platform/long-timer.js';
import type { UnansweredNotes } from '../store/unanswered-notes.js';
import type { Unstamped } from './driver.js';
import type { LiveParcels } from './live-parcels.js';
import type { Roster } from './roster.js';

/** The time for an answer that needs no reading, in ms; a parcel adds the time to read it. */
const ANSWER_MS = 60_000;
/** Audits of all peers answered at once; each waits for its turn at a disk. Further peers are told to come back. */
const ANSWERED_MAX = 16;

/** The part of `Dropper` that is needed here. */
export interface PossessionReader {
  possess(
    read: {
      readonly parcel: ParcelId;
      readonly store: StoreId;
      readonly nonce: Nonce;
      readonly holders: readonly HostId[];
    },
    needed: AbortSignal,
  ): Promise<ReadonlyMap<HostId, Possession> | ReadFailure>;
}

export interface AuditorOptions {
  readonly net: Net;
  readonly roster: Roster;
  readonly reader: PossessionReader;
  /** For an origin, which has no copy in its own stores. */
  readonly live: Pick<LiveParcels, 'possession'>;
  /** This host's store that holds the parcel. */
  readonly storeOf: (parcel: ParcelId) => StoreId | undefined;
  readonly notes: Pick<UnansweredNotes, 'note' | 'forget'>;
  /** From the parcel's page; undefined where the page is not known. */
  readonly bytesOf: (parcel: ParcelId) => number | undefined;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  /** The time for an answer, without the reading. Default 1 min. */
  readonly answerMs?: number;
}

export class Auditor {
  readonly #options: AuditorOptions;
  readonly #running = new Set<Promise<void>>();
  readonly #ended = lastingAbort();
  #answering = 0;

  constructor(options: AuditorOptions) {
    this.#options = options;
  }

  async serve(): Promise<void> {
    await serveAudits(this.#options.net, (asked, from, signal) => this.#answer(asked, from, signal));
  }

  /** Carries out `ask-audit`. */
  ask(effect: Extract<Effect, { do: 'ask-audit' }>): void {
    const running = this.#ask(effect).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Ends every audit that this host has started. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the service stops'));
    await Promise.all(this.#running);
  }

  /** Carries out `note-unanswered`. */
  note({ copy, unanswered }: Extract<Effect, { do: 'note-unanswered' }>): void {
    const { notes, log } = this.#options;
    const noted = unanswered === undefined ? notes.forget(copy) : notes.note({ copy, unanswered });
    noted.catch((error: unknown) =>
      log.warn(
        { code: 'UNANSWERED_NOT_NOTED', ...copy, err: error },
        'an unanswered audit of a copy could not be recorded; after a restart that copy is believed for longer',
      ),
    );
  }

  async #ask({ audit, parcel, store, holder }: Parameters<Auditor['ask']>[0]): Promise<void> {
    const { net, roster, bytesOf, tell, log, answerMs = ANSWER_MS } = this.#options;
    const peer = roster.peerOf(holder);
    let answer: AuditAnswer | undefined;
    let expected: Possession | undefined;
    try {
      this.#ended.signal.throwIfAborted();
      const patienceMs = Math.min(TIMER_MS_MAX, answerMs + (bytesOf(parcel) ?? 0) / READ_BYTES_PER_MS);
      if (peer !== undefined)
        answer = await withDeadline(patienceMs, [this.#ended.signal], signal =>
          askAudit(net, peer, { nonce: audit, parcel }, signal),
        );
      if (answer?.answer === 'proof') expected = await this.#expected({ parcel, store, nonce: audit, holder });
    } catch (error) {
      if (!this.#ended.signal.aborted)
        log.debug({ code: 'AUDIT_NOT_ANSWERED', host: holder, parcel, err: error }, 'a host did not answer an audit');
    }
    tell({ is: 'audited', audit, expected, answer });
  }

  async #expected({
    parcel,
    store,
    nonce,
    holder,
  }: {
    readonly parcel: ParcelId;
    readonly store: StoreId | undefined;
    readonly nonce: Nonce;
    readonly holder: HostId;
  }): Promise<Possession | undefined> {
    const { reader, live } = this.#options;
    const { signal } = this.#ended;
    if (store === undefined) return live.possession({ parcel, nonce, holder }, signal);
    const own = await reader.possess({ parcel, store, nonce, holders: [holder] }, signal);
    return typeof own === 'string' ? undefined : own.get(holder);
  }

  async #answer({ nonce, parcel }: AuditAsk, from: PeerName, signal: AbortSignal): Promise<AuditAnswer> {
    const { roster, reader, storeOf } = this.#options;
    if (!roster.isTrusted(from)) return { answer: 'deny', because: 'busy' };
    if (this.#answering >= ANSWERED_MAX) return { answer: 'deny', because: 'busy' };
    const store = storeOf(parcel);
    if (store === undefined) return { answer: 'deny', because: 'absent' };
    this.#answering += 1;
    try {
      const read = await reader.possess({ parcel, store, nonce, holders: [roster.self] }, signal);
      // An unreadable copy may be readable later: a disk that is busy or gone says nothing about its bytes.
      if (read === 'unreadable') return { answer: 'deny', because: 'busy' };
      const possession = read === 'corrupt' ? undefined : read.get(roster.self);
      return possession === undefined ? { answer: 'deny', because: 'corrupt' } : { answer: 'proof', possession };
    } finally {
      this.#answering -= 1;
    }
  }
}
