import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import test from 'ava';
import { scan } from '../../src/catalog/scan.js';
import {
  ALL_WALKED,
  CONTROL_WORDS,
  GO_ON,
  type ScanMessage,
  type ScanOrder,
  SEAM,
} from '../../src/catalog/scan-message.js';
import { startScan } from '../../src/catalog/scan-threads.js';
import { MOUNT_TABLE } from '../../src/platform/mount-table.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { anyTimeMs, aSource } from './scratch-source.js';

const folder = temporaryFolder({ teardown: test.after.always });
const source = join(folder, 'source');
mkdirSync(source);
writeFileSync(join(source, 'file'), 'content');

/** Of a scan of one thread, which waits for no other at its end. */
function aControl(): SharedArrayBuffer {
  const control = new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT);
  new Int32Array(control)[ALL_WALKED] = 1;
  return control;
}

const order = (change: Partial<ScanOrder> = {}): ScanOrder => ({
  path: source,
  source: aSource,
  cachePath: undefined,
  settleMs: 0,
  previous: undefined,
  nowMs: anyTimeMs,
  exclude: [],
  crossMounts: false,
  forbidden: [],
  mountTable: MOUNT_TABLE,
  from: undefined,
  to: undefined,
  divide: undefined,
  itemsAheadMax: 1024,
  control: aControl(),
  ...change,
});

/** What the thread says, up to its last word on the order. */
const heard = (worker: Worker): Promise<string[]> =>
  new Promise((resolve, reject) => {
    const kinds: string[] = [];
    const hear = ({ kind }: ScanMessage): void => {
      kinds.push(kind);
      if (kind !== 'ended') return;
      worker.off('message', hear);
      worker.off('error', reject);
      resolve(kinds);
    };
    worker.on('message', hear);
    worker.on('error', reject);
  });

test.serial('a later scan takes over the thread of an earlier one, and scans at once have one each', async t => {
  const first = startScan(order());
  const other = startScan(order());
  t.not(other.threadId, first.threadId);
  for (const kinds of await Promise.all([heard(first), heard(other)])) t.deepEqual(kinds.slice(-2), ['done', 'ended']);
  const threads = [first.threadId, other.threadId];
  for (let turn = 0; turn < 5; turn += 1) {
    const next = startScan(order());
    t.true(threads.includes(next.threadId));
    await heard(next);
  }
});

test.serial('an order that cannot be sent leaves the thread to the next one', async t => {
  const first = startScan(order());
  await heard(first);
  t.throws(() => startScan(order({ exclude: [Symbol('x') as unknown as string] })), {
    any: true,
    name: 'DataCloneError',
  });
  const next = startScan(order());
  t.true((await heard(next)).includes('done'));
});

test.serial('a thread that fails fails its scan, and the next scan has another', async t => {
  const isDirectory = join(folder, 'cache');
  mkdirSync(isDirectory);
  const run = async (cachePath: string | undefined): Promise<number> => {
    let items = 0;
    for await (const event of scan({ path: source, source: aSource, cachePath, nowMs: anyTimeMs }))
      if (event.kind === 'items') items += event.items.length;
    return items;
  };
  await t.throwsAsync(run(isDirectory), { code: 'SCAN_FAILED' });
  t.is(await run(undefined), 2);
});

test.serial(
  'a thread that has much before it asks for another one in its midst, if it had a processor meanwhile',
  async t => {
    const large = join(folder, 'large');
    for (let n = 0; n < 50; n += 1) {
      mkdirSync(join(large, `folder${n}`), { recursive: true });
      for (let m = 0; m < 100; m += 1) writeFileSync(join(large, `folder${n}`, `file${m}`), '');
    }
    /** Where it asks for one; none comes. */
    const asked = async (busyMin: number): Promise<string[]> => {
      const control = aControl();
      new Int32Array(control)[SEAM] = GO_ON;
      const thread = startScan(
        order({ path: large, itemsAheadMax: 100_000, divide: { afterMs: 0, busyMin }, control }),
      );
      const places: string[] = [];
      const hear = (message: ScanMessage): void => {
        if (message.kind === 'divide') places.push(message.at);
      };
      thread.on('message', hear);
      t.deepEqual((await heard(thread)).slice(-2), ['done', 'ended']);
      thread.off('message', hear);
      return places;
    };
    const [at, ...others] = await asked(0);
    t.regex(String(at), /^folder3\d/);
    t.deepEqual(others, []);
    t.deepEqual(await asked(1000), []);
  },
);
