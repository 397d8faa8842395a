/** Scenarios: named situations, run in virtual time. What each promises stands in its own file. */
import test from 'ava';
import { run as clonedHost } from '../../sim/scenarios/cloned-host.js';
import { run as familyLeaves } from '../../sim/scenarios/family-leaves.js';
import { run as fewerCopiesWanted } from '../../sim/scenarios/fewer-copies-wanted.js';
import { run as hostLeaves } from '../../sim/scenarios/host-leaves.js';
import { run as liarFound } from '../../sim/scenarios/liar-found.js';
import { run as oneHostLost } from '../../sim/scenarios/one-host-lost.js';
import { run as powerCut } from '../../sim/scenarios/power-cut.js';
import { run as pulledDisk } from '../../sim/scenarios/pulled-disk.js';
import { run as roomInNameOnly } from '../../sim/scenarios/room-in-name-only.js';
import { World } from '../../sim/world.js';

const SCENARIOS = {
  'a lost host is made up for, and not twice': oneHostLost,
  'a host that leaves in order takes nothing with it that is missed': hostLeaves,
  'of several that let a copy go at once, one keeps it': fewerCopiesWanted,
  'a host that says it holds what it has not is found, and its copies are made elsewhere': liarFound,
  'after a power cut everywhere the copies are made all the same': powerCut,
  'what a host holds twice since a disk of it was put back is dropped, and never the last copy': pulledDisk,
  'what was to be written beside its family is not written when that has gone, and its room is another’s': familyLeaves,
  'a disk that refuses what it says it has room for keeps nobody from making room elsewhere': roomInNameOnly,
  'the copy of a running host is found, and neither of the two counts until one is off': clonedHost,
};

for (const [title, run] of Object.entries(SCENARIOS)) {
  test(title, t => {
    for (const seed of [1, 2, 3]) t.notThrows(() => run(new World({ seed })), `seed ${seed}`);
  });
}
