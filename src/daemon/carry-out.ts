/**
 * Carry out: gives each effect of the machine to the part of this host that does it. Each part begins at once and
 * reports its result to the machine as an input; none throws here.
 */
import type { Logger } from 'pino';
import type { Effect } from '../core/effects.js';
import type { HostId } from '../core/ids.js';
import { splitForFrames } from '../net/gossip-border.js';
import type { Net } from '../net/net.js';
import type { AbsenceKeeper } from './absence-keeper.js';
import type { Copies } from './copies.js';
import type { MachineNotes } from './machine-notes.js';
import type { StateExchange } from './state-exchange.js';
import type { StoreHeads } from './store-heads.js';

export interface Carriers {
  readonly net: Pick<Net, 'publish'>;
  readonly exchange: Pick<StateExchange, 'ask'>;
  /** Asks a host for the configuration; does nothing where it is not a member, or before anybody is asked. */
  readonly askConfig: (host: HostId) => void;
  readonly copies: Copies;
  readonly storeHeads: StoreHeads;
  readonly absences: AbsenceKeeper;
  readonly notes: MachineNotes;
  readonly log: Logger;
}

export function carryOut(effect: Effect, carriers: Carriers): void {
  const { net, exchange, askConfig, copies, storeHeads, absences, notes, log } = carriers;
  switch (effect.do) {
    case 'gossip':
      for (const message of splitForFrames(effect.message)) {
        net
          .publish(message)
          .catch((error: unknown) => log.debug({ code: 'GOSSIP_FAILED', err: error }, 'a hint was not sent'));
      }
      return;
    case 'ask-state':
      void exchange.ask(effect.host);
      return;
    case 'ask-config':
      askConfig(effect.host);
      return;
    case 'fetch':
      copies.fetcher.start(effect);
      return;
    case 'cancel-fetch':
      copies.fetcher.cancel(effect.fetch);
      return;
    case 'measure':
      void copies.measure(effect);
      return;
    case 'keep-head':
      void storeHeads.keep(effect);
      return;
    case 'note-liveness':
      notes.liveness(effect);
      return;
    case 'note-duplicate':
      notes.duplicate(effect);
      return;
    case 'note-absence':
      absences.note(effect.absence);
      return;
    case 'note-outage':
      notes.outage(effect);
      return;
    case 'wake':
      return;
    case 'ask-grants':
      copies.asker.ask(effect);
      return;
    case 'cancel-attempt':
      copies.dropper.cancel(effect.attempt);
      copies.asker.cancel(effect.attempt);
      return;
    case 'answer-grant':
      copies.grants.answer(effect);
      return;
    case 'prove-own':
    case 'read-possession':
    case 'drop':
    case 'expire':
    case 'identify':
    case 'note-unwanted':
      copies.dropper.carryOut(effect);
      return;
    case 'ask-audit':
      copies.auditor.ask(effect);
      return;
    case 'note-unanswered':
      copies.auditor.note(effect);
      return;
    case 'note-distrust':
      notes.distrust(effect);
      return;
    case 'note-distrust-full':
      notes.distrustFull(effect);
      return;
    case 'note-unanswered-full':
      notes.unansweredFull(effect);
      return;
    case 'offer-relocation':
      copies.relocator.offer(effect);
      return;
    case 'answer-relocation':
      copies.relocator.answer(effect);
      return;
    case 'note-move-ended':
      copies.relocator.ended(effect);
      return;
    default:
      effect satisfies never;
  }
}
