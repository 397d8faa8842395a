/** State room: when a nearly full disk of the state folder is told, and when that is over. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { isNearlyFull, StateRoom } from '../../src/daemon/state-room.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const MIB = 1024 * 1024;

test('with less than 32 MiB or 1,000 files the disk is nearly full, and from twice that on it is not any more', t => {
  const at = (mib: number, freeFiles?: number) => ({ freeBytes: mib * MIB, freeFiles });
  t.deepEqual(
    [at(31), at(33), at(1_000, 999), at(1_000, 1_001), at(1_000, undefined)].map(room => isNearlyFull(room, false)),
    [true, false, true, false, false],
  );
  t.deepEqual(
    [at(63), at(65), at(1_000, 1_999), at(1_000, 2_001)].map(room => isNearlyFull(room, true)),
    [true, false, true, false],
  );
});

test('it is an alarm that says what is full and what that means, and is over when there is room again', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const stateDir = temporaryFolder(t);
  mountSmallDisk(t, stateDir, 80 * MIB);
  const standing = new Map<string, string>();
  const room = new StateRoom({
    stateDir,
    indexRefusals: () => 0,
    isBehind: () => false,
    alarms: { raise: (code, _, text) => void standing.set(code, text), clear: code => void standing.delete(code) },
  });
  await room.look();
  t.is(standing.size, 0);
  const filling = join(stateDir, 'filling');
  fillDisk(filling);
  await room.look();
  t.is(
    standing.get('STATE_DISK_FULL'),
    `the disk of the state folder ${stateDir} is nearly full: less than 67 MB are left. While it is full this host takes no snapshot, and no copies of new ones; what it has stays as it is, and is given. Make room on that disk before this service is restarted: while it is wholly full, the service does not come up`,
  );
  rmSync(filling);
  await room.look();
  t.is(standing.size, 0);
});

test('an index that refuses writes is an alarm until none was refused between two looks', async t => {
  const stateDir = temporaryFolder(t);
  const standing = new Map<string, string>();
  let refusals = 0;
  let isBehind = false;
  const room = new StateRoom({
    stateDir,
    indexRefusals: () => refusals,
    isBehind: () => isBehind,
    alarms: { raise: (code, _, text) => void standing.set(code, text), clear: code => void standing.delete(code) },
  });
  for (const more of [1, 2]) {
    refusals += more;
    await room.look();
    t.regex(standing.get('INDEX_REFUSED') ?? '', /refuses writes of the index.*goes on serving/);
  }
  isBehind = true;
  await room.look();
  t.true(standing.has('INDEX_REFUSED'), 'a store takes nothing, although nothing more was refused');
  isBehind = false;
  await room.look();
  t.false(standing.has('INDEX_REFUSED'));
});
