/** Torn files: however often holders ask for them, one cut is due at a time. */
import test from 'ava';
import { parseParcelId } from '../../src/core/ids.js';
import { TornFiles, type TornFilesOptions } from '../../src/daemon/torn-files.js';
import { until } from '../helpers/until.js';

const PARCEL = parseParcelId('ab'.repeat(32));
const PATH = Buffer.from('file');

/** Those of a source whose catalog has nothing: a cut ends at once. */
function counted() {
  const counts = { due: 0 };
  const options = { known: { isClaimed: () => false }, objects: { get: async () => undefined }, catalog: new Map() };
  // The rest of the options is for files that are found in a record.
  const torn = new TornFiles(options as unknown as TornFilesOptions, () => {
    counts.due += 1;
  });
  return { torn, counts };
}

test('what is reported while a cut waits for its turn is due no second time, and is due again once the cut has begun', async t => {
  const { torn, counts } = counted();
  torn.tell(PARCEL, PATH);
  await until('the cut is due', () => counts.due === 1);

  torn.tell(PARCEL, PATH);
  // A timer that was set later runs out later.
  const later = counted();
  later.torn.tell(PARCEL, PATH);
  await until('a later one is due', () => later.counts.due === 1);
  t.is(counts.due, 1);

  await torn.cutOut({ source: 'h/s' as never, path: '/nowhere' } as never);
  torn.tell(PARCEL, PATH);
  await until('the next cut is due', () => counts.due === 2);
  torn.close();
  later.torn.close();
});
