/**
 * A process that commits parcels and drops them again until it is killed: `commit-loop.js FOLDER BOOT`. It prints
 * `held ID` when a commit has returned, `dropping ID` before a drop and `dropped ID` when it has returned. Run by
 * kill.test.ts.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { openIndexDatabase } from '../../src/store/index-database.js';
import { openStore } from '../../src/store/open-store.js';
import { blobsOf, grab, parcelOf, proofFor, type TestParcel } from '../helpers/test-parcels.js';
import { CLUSTER, HOST, SILENT } from './real-store.js';

const IN_FLIGHT = 4;
/** Of so many parcels one is left alone, so that there is something to lose. */
const KEPT_EVERY = 3;

const [folder = '', bootText = ''] = process.argv.slice(2);
const boot = Number(bootText);
const opened = await openStore({
  path: join(folder, 'store'),
  cluster: CLUSTER,
  host: HOST,
  boot,
  previousBoot: boot - 1,
  nowMs: Date.now(),
  index: openIndexDatabase(join(folder, 'index')),
  blobsOf,
  log: SILENT,
  random: () => randomBytes(8),
});
if (opened.kind === 'missing') throw new Error(opened.because);
const { store } = opened;
if (store.rescanDue) throw new Error('a kill put the store in doubt');

const say = (what: string, { id }: TestParcel) => process.stdout.write(`${what} ${id}\n`);

async function commit(parcel: TestParcel): Promise<void> {
  try {
    await grab(store, parcel);
  } catch (error) {
    // Between the look and the commit the trash was emptied of a blob: the service fetches it then, and so do we.
    if (!(error instanceof Error) || !('code' in error) || error.code !== 'BLOBS_MISSING') throw error;
    return commit(parcel);
  }
  say('held', parcel);
}

async function drop(parcel: TestParcel): Promise<void> {
  say('dropping', parcel);
  await store.drop(proofFor(store.id, parcel.id));
  say('dropped', parcel);
}

let n = 0;
async function commitForEver(): Promise<never> {
  let last: TestParcel | undefined;
  for (;;) {
    n += 1;
    const dropped = last;
    const keeps = n % KEPT_EVERY === 0;
    const empties = n % 16 === 0;
    const parcel = parcelOf(
      // Small ones together, some of them shared with neighbours, and one that is written in several pieces.
      'shared by all',
      `boot ${boot} shared by ${n >> 1}`,
      `boot ${boot} shared by ${n >> 2}`,
      ...Array.from({ length: 12 }, (_, k) => `boot ${boot} parcel ${n} file ${k}`),
      Buffer.alloc(1_500_000, `${boot}.${n}`),
    );
    await Promise.all([commit(parcel), ...(dropped === undefined ? [] : [drop(dropped)])]);
    if (empties) await store.emptyTrash({ olderThanMs: 0 });
    last = keeps ? undefined : parcel;
  }
}
await Promise.all(Array.from({ length: IN_FLIGHT }, commitForEver));
