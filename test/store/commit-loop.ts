/**
 * A process that commits parcels until it is killed: `commit-loop.js FOLDER BOOT`. It prints the id of each parcel when
 * its commit has returned. Run by kill.test.ts.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { openIndexDatabase } from '../../src/store/index-database.js';
import { openStore } from '../../src/store/store.js';
import { blobsOf, grab, parcelOf } from '../contracts/store-contract.js';
import { CLUSTER, HOST, SILENT } from './real-store.js';

const IN_FLIGHT = 4;

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

let n = 0;
async function commitForEver(): Promise<never> {
  for (;;) {
    n += 1;
    // Small ones together, one shared by all, and one that is written in several pieces.
    const parcel = parcelOf(
      'shared by all',
      ...Array.from({ length: 12 }, (_, k) => `boot ${boot} parcel ${n} file ${k}`),
      Buffer.alloc(1_500_000, `${boot}.${n}`),
    );
    await grab(store, parcel);
    process.stdout.write(`${parcel.id}\n`);
  }
}
await Promise.all(Array.from({ length: IN_FLIGHT }, commitForEver));
