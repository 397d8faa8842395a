/** Landing: blobs on their way to disk beside each other; one that is wrong keeps no other back, a disk that fails all. */
import test from 'ava';
import { ClusterError } from '../../src/core/fault.js';
import { parseBlobId } from '../../src/core/ids.js';
import { Landing, LandingRoom } from '../../src/daemon/landing.js';
import type { IncomingBlob } from '../../src/store/receiving.js';

const MIB = 1024 * 1024;
const BLOB = parseBlobId('5'.repeat(64));

function blobThat(finish: () => Promise<void>): IncomingBlob {
  return { write: async () => undefined, finish, abort: async () => undefined };
}

test('blobs land beside each other until so many bytes wait; then the next one waits', async t => {
  const landing = new Landing(new LandingRoom());
  const ends: (() => void)[] = [];
  const slow = () => blobThat(() => new Promise<void>(resolve => void ends.push(resolve)));
  for (let i = 0; i < 8; i += 1) await landing.add(slow(), MIB);
  t.is(ends.length, 8);
  let isThrough = false;
  const ninth = landing.add(slow(), MIB).then(() => (isThrough = true));
  await new Promise(resolve => setImmediate(resolve));
  t.false(isThrough);
  ends[0]?.();
  await ninth;
  for (const end of ends) end();
  await landing.all();
  t.is(landing.mismatch, undefined);
});

test('what others have under way takes of the room, but keeps nobody from landing one blob after the other', async t => {
  const room = new LandingRoom();
  const crowd = new Landing(room);
  const ends: (() => void)[] = [];
  const crowding = crowd.add(
    blobThat(() => new Promise<void>(resolve => void ends.push(resolve))),
    9 * MIB,
  );
  const landing = new Landing(room);
  const order: string[] = [];
  const noted = (name: string) => blobThat(async () => void order.push(name));
  await landing.add(noted('first'), MIB);
  await landing.add(noted('second'), MIB);
  t.deepEqual(order, ['first', 'second']);
  t.is(room.bytes, 9 * MIB);
  for (const end of ends) end();
  await crowding;
  await crowd.all();
  t.is(room.bytes, 0);
});

test('a blob that is not what its name says is told of at the end, and the others land', async t => {
  const landing = new Landing(new LandingRoom());
  let landed = 0;
  const wrong = new ClusterError('BLOB_MISMATCH', 'wrong', { blame: 'peer' });
  await landing.add(
    blobThat(() => Promise.reject(wrong)),
    1,
  );
  await landing.add(
    blobThat(async () => {
      landed += 1;
    }),
    1,
  );
  await landing.all();
  t.is(landed, 1);
  t.is(landing.mismatch, wrong);
});

test('small blobs whose bytes are not their own count as such, whatever came with them', async t => {
  const landing = new Landing(new LandingRoom());
  const blobs = [{ blob: BLOB, content: Buffer.from('x') }];
  await landing.addSmall({ receiveSmall: async all => all }, blobs);
  await landing.all();
  t.like(landing.mismatch, { code: 'BLOB_MISMATCH', blame: 'peer' });
});

test('a disk that fails ends it', async t => {
  const landing = new Landing(new LandingRoom());
  const full = new ClusterError('STORE_FULL', 'full', { blame: 'passing' });
  await landing
    .add(
      blobThat(() => Promise.reject(full)),
      1,
    )
    .catch(() => undefined);
  await t.throwsAsync(landing.all(), { is: full });
  await landing.settled();
});
