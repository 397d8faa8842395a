import { rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { pino } from 'pino';
import { openStateDisk } from '../../src/daemon/state-disk.js';
import { Teardown } from '../../src/daemon/teardown.js';
import { skip } from '../helpers/skip.js';
import { fillDisk, mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const KIB = 1024;

test('where there is no room for a new index the start says so, and is not ended by a signal', async t => {
  const why = whyNoSmallDisk();
  if (why !== undefined) return skip(t, why);
  const stateDir = temporaryFolder(t);
  mountSmallDisk(t, stateDir, 8 * 1024 * KIB);
  const filling = join(stateDir, 'filling');
  const log = pino({ level: 'silent' });
  const open = async (): Promise<void> => {
    const teardown = new Teardown(log);
    try {
      // Nothing is signed.
      await openStateDisk({ stateDir, signer: undefined as never, wallMs: 0, log }, teardown);
    } finally {
      await teardown.run();
    }
  };
  const leave = (bytes: number): void => {
    fillDisk(filling);
    truncateSync(filling, statSync(filling).size - bytes);
  };
  // Enough for the first pages of LMDB's files, and not for the last.
  leave(12 * KIB);
  const error = await t.throwsAsync(open);
  t.like(error, { code: 'ENOSPC', path: join(stateDir, 'index', 'room-trial') });
  rmSync(filling);
  await t.notThrowsAsync(open);
  // The index that is there needs no more.
  leave(12 * KIB);
  await t.notThrowsAsync(open);
});
