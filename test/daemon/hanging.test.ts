/** Hanging: what is a disk's fault, and what is not. */
import test from 'ava';
import { watchDisks } from '../../src/daemon/hanging.js';
import { setApart } from '../../src/platform/disk.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';

const PATIENCE = { callMs: 3_000, flushMs: 3_000 };
/** Longer than that, and than the time between two looks. */
const STILL_MS = 5_000;

test('the time in which the process stood still does not count as one in which a disk did not answer', async t => {
  const disk = setApart(temporaryFolder(t));
  const looks: boolean[] = [];
  const timer = watchDisks(
    () => [disk],
    () => void looks.push(disk.hangs(PATIENCE)),
  );
  t.teardown(() => clearInterval(timer));
  let answer = (): void => {};
  const call = disk.run(
    () =>
      new Promise<void>(resolve => {
        answer = resolve;
      }),
  );
  // As one does that is stopped: nothing is heard meanwhile.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)), 0, 0, STILL_MS);
  await until('it is looked at', () => looks.length > 0);
  t.false(looks[0]);
  await until('it has not answered for long enough', () => looks.includes(true));
  answer();
  await call;
});
