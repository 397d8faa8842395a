import { existsSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { pino } from 'pino';
import { parseHostId } from '../../src/core/ids.js';
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
  const host = parseHostId('0a'.repeat(16));
  const open = async (): Promise<void> => {
    const teardown = new Teardown(log);
    try {
      // Nothing is signed.
      await openStateDisk(
        {
          stateDir,
          signer: undefined as never,
          judge: () => undefined,
          leastSeq: () => 1,
          host,
          firstHost: host,
          wallMs: 0,
          log,
        },
        teardown,
      );
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

test('the index is that of the host which the machine is now', async t => {
  const stateDir = temporaryFolder(t);
  const log = pino({ level: 'silent' });
  const [first, other] = [parseHostId('0a'.repeat(16)), parseHostId('0b'.repeat(16))];
  const isKept = async (host: typeof first): Promise<boolean> => {
    const teardown = new Teardown(log);
    try {
      const judge = () => undefined;
      await openStateDisk(
        { stateDir, signer: undefined as never, judge, leastSeq: () => 1, host, firstHost: first, wallMs: 0, log },
        teardown,
      );
    } finally {
      await teardown.run();
    }
    const mark = join(stateDir, 'index', 'mark');
    if (existsSync(mark)) return true;
    writeFileSync(mark, '');
    return false;
  };
  t.deepEqual(
    [await isKept(first), await isKept(first), await isKept(other), await isKept(other)],
    [false, true, false, true],
  );
});
