/**
 * Own machine: the machine of this host, the hosts it knows as members, the alarms that people see, and the driver
 * through which every part tells the machine what happened.
 *
 * It is made before the parts that carry out its effects, because they ask it. They are handed to it once all of them
 * are there; nobody tells it anything before.
 */
import { randomBytes } from 'node:crypto';
import { SECRET_WORDS } from '../core/byte-index.js';
import { Chance } from '../core/chance.js';
import { assert } from '../core/fault.js';
import { Machine } from '../core/machine.js';
import { publicKeyOf } from '../membership/peer-key.js';
import { AbsenceKeeper } from './absence-keeper.js';
import { Alarms } from './alarms.js';
import { type Carriers, carryOut } from './carry-out.js';
import { freshNonce } from './copies.js';
import { Driver, type Unstamped } from './driver.js';
import { MachineNotes } from './machine-notes.js';
import type { OwnState } from './own-state.js';
import { Roster } from './roster.js';
import type { Teardown } from './teardown.js';

export interface OwnMachine {
  readonly alarms: Alarms;
  readonly roster: Roster;
  readonly absences: AbsenceKeeper;
  readonly notes: MachineNotes;
  readonly machine: Machine;
  readonly tell: (input: Unstamped) => void;
  /** Called once, before anything is told. */
  readonly carryOutBy: (carriers: Carriers) => void;
}

export function makeOwnMachine(
  { stateDir, clock, wallMs, running, membership, boot, disk, log }: OwnState,
  teardown: Teardown,
): OwnMachine {
  const { host: self } = membership.identity;
  const alarms = new Alarms({ log, wallMs });
  if (disk.damaged !== undefined) alarms.raise('INDEX_DAMAGED', 'index', disk.damaged);
  const roster = new Roster({ self, publicKeyOf });
  roster.update(membership.clusterConfig.members);
  const absences = new AbsenceKeeper({
    stateDir,
    wallMs,
    isMember: host => roster.peerOf(host) !== undefined,
    log,
  });
  teardown.defer(() => absences.close());
  const machine = new Machine({
    self,
    boot,
    chance: new Chance([...randomWords(3)] as [number, number, number]),
    secret: randomWords(SECRET_WORDS),
    nonces: freshNonce,
    config: membership.clusterConfig,
    nowMs: clock.nowMs(),
    ranBeforeMs: running.beforeMs,
    absences: absences.past(),
  });
  let carriers: Carriers | undefined;
  const driver = new Driver({
    machine,
    clock,
    carryOut: effect => {
      assert(
        carriers !== undefined,
        'the machine was told something before there was anybody to carry out what it says',
      );
      carryOut(effect, carriers);
    },
  });
  // Nothing is told after the machine is stopped: it outlives every part that tells it anything.
  teardown.defer(() => driver.stop());
  return {
    alarms,
    roster,
    absences,
    notes: new MachineNotes({ roster, alarms, log }),
    machine,
    tell: input => driver.tell(input),
    carryOutBy: all => {
      carriers = all;
    },
  };
}

const randomWords = (words: number): Int32Array =>
  new Int32Array(new Uint8Array(randomBytes(words * Int32Array.BYTES_PER_ELEMENT)).buffer);
