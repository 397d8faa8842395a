/**
 * Machine notes: what the machine has noticed about other hosts and a person should know, as alarms and log lines.
 *
 * Each note reports the present state, so it also clears an alarm.
 */
import type { Logger } from 'pino';
import type { Effect } from '../core/effects.js';
import type { Alarms } from './alarms.js';
import type { Roster } from './roster.js';

type Note<Do extends Effect['do']> = Extract<Effect, { do: Do }>;

export class MachineNotes {
  readonly #roster: Roster;
  readonly #alarms: Alarms;
  readonly #log: Logger;

  constructor({ roster, alarms, log }: { readonly roster: Roster; readonly alarms: Alarms; readonly log: Logger }) {
    this.#roster = roster;
    this.#alarms = alarms;
    this.#log = log;
  }

  liveness({ host, state }: Note<'note-liveness'>): void {
    this.#log.info({ code: 'HOST_LIVENESS', host: this.#roster.nameOf(host), state }, `a host is ${state}`);
  }

  /** `hosts`: those that are still waited for: by and by fewer than vanished. */
  outage({ hosts }: Note<'note-outage'>): void {
    if (hosts.length === 0) {
      this.#alarms.clear('OUTAGE', '');
      return;
    }
    const names = hosts.map(host => this.#roster.nameOf(host)).join(', ');
    this.#alarms.raise(
      'OUTAGE',
      '',
      `more than a third of the hosts vanished at about the same time: their power or network may have failed, or this host's own. What they hold is copied again only after twice the usual wait. Still waited for: ${names}`,
    );
  }

  distrust({ host, store, copies }: Note<'note-distrust'>): void {
    const subject = `${host} ${store}`;
    if (copies === 0) this.#alarms.clear('AUDIT_FAILED', subject);
    else
      this.#alarms.raise(
        'AUDIT_FAILED',
        subject,
        `${this.#roster.nameOf(host)} says that its store ${store} holds ${copies === 1 ? 'a parcel' : `${copies} parcels`} but could not prove it when another host asked: these copies do not count, and are made again elsewhere. Look at that disk; if its files are right, stop the service there and find out whether somebody has changed that service`,
      );
  }

  distrustFull({ copies }: Note<'note-distrust-full'>): void {
    this.#log.warn(
      { code: 'DISTRUST_FULL', copies },
      'too many copies failed their audit for all of them to be remembered: those of dead hosts and of stores that are gone are forgotten first; any others then go on counting',
    );
  }

  unansweredFull({ copies }: Note<'note-unanswered-full'>): void {
    this.#log.warn(
      { code: 'UNANSWERED_FULL', copies },
      'too many copies did not answer their audit for all of them to be remembered: those of dead hosts and of stores that are gone are forgotten first; any others then go on counting',
    );
  }

  duplicate({ host, duplicate }: Note<'note-duplicate'>): void {
    if (!duplicate) this.#alarms.clear('DUPLICATE_IDENTITY', host);
    else
      this.#alarms.raise(
        'DUPLICATE_IDENTITY',
        host,
        `two machines run as ${this.#roster.nameOf(host)}: its copies do not count until one of the machines is off. Switch off the copy, or revoke it and let it join again`,
      );
  }
}
