/**
 * Happenings: what the world shows its checkers, of all hosts, at the moment it happens.
 *
 * They show more than any host knows: what became durable where, which losses the simulator itself caused, and every
 * machine's inputs and effects.
 */
import type { Effect, Input } from '../src/core/effects.js';
import type { LogOp } from '../src/core/holdings-log.js';
import type { HostId, ParcelId } from '../src/core/ids.js';
import type { Running, SimHost } from './sim-host.js';
import type { StoreDisk } from './store-disk.js';

export type Happening =
  | { readonly is: 'started' | 'stopped'; readonly by: Running }
  | { readonly is: 'told'; readonly by: Running; readonly input: Input }
  /** The step is over, and all that the machine asked for in it has been begun. */
  | { readonly is: 'stepped'; readonly by: Running; readonly input: Input }
  | { readonly is: 'effect'; readonly by: Running; readonly effect: Effect }
  /** The operation is in the durable log of the store, and has been carried out. */
  | { readonly is: 'durable'; readonly host: SimHost; readonly store: StoreDisk; readonly op: LogOp }
  /** A read of a parcel's bytes from the disk, for a grant request. */
  | {
      readonly is: 'read';
      readonly by: Running;
      readonly ask: number;
      readonly store: StoreDisk;
      readonly parcel: ParcelId;
    }
  /** The host gives bytes or state to another host. */
  | { readonly is: 'serves'; readonly by: Running; readonly to: HostId; readonly what: 'bytes' | 'state' }
  /** A parcel's bytes begin to arrive. */
  | { readonly is: 'taking-in'; readonly by: Running; readonly fetch: number; readonly parcel: ParcelId }
  /** This many of its bytes have arrived at a host, whatever becomes of them. */
  | { readonly is: 'received'; readonly host: SimHost; readonly parcel: ParcelId; readonly bytes: number }
  /** The simulator took a copy away, or spoiled it. */
  | { readonly is: 'injected-loss'; readonly host: SimHost; readonly parcel: ParcelId }
  /** The host's disk is another one than before: earlier promises no longer bind it. */
  | { readonly is: 'disk-replaced'; readonly host: SimHost };

export type Witness = (happening: Happening) => void;
