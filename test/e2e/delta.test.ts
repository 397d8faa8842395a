/**
 * Delta: of a large file that changes, is renamed or copied, or whose fetch is cut off by a power cut, only what is not there yet
 * goes over the network.
 */
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { inventory } from '../helpers/blob-inventory.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { RealCluster, type RealHost } from '../helpers/real-cluster.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { sentBytes, whyNoSentBytes } from '../helpers/sent-bytes.js';

const MiB = 1024 * 1024;
/** A fetch is to be caught in its middle; it takes a second or so. */
const CAUGHT_MS_MAX = 60_000;

async function originAndHolder(t: ExecutionContext) {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  const store = cluster.makeFolder('b.store');
  const [a, b] = await cluster.found(['a', 'b']);
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      a: { sources: { films: { path: source } } },
      b: { stores: [{ path: store, limit: '2 GB' }] },
    },
  });
  const film = join(source, 'film');
  const backUp = () => a.ok('backup', 'films', '--wait', '--timeout', '90s');
  return { cluster, source, store, a, b, film, backUp };
}

/** What came over the network for each large file that a host has fetched. */
const receivedBytes = (host: RealHost): number[] =>
  host.log().flatMap(({ code, receivedBytes: bytes }) => (code === 'LARGE_FETCHED' ? [bytes as number] : []));

test.serial('only the changed part of a changed file is sent, and nothing of a renamed or copied one', async t => {
  const { cluster, source, a, b, film, backUp } = await originAndHolder(t);
  const content = seededBytes(64 * MiB, 1);
  writeFileSync(film, content);
  await backUp();
  t.deepEqual(receivedBytes(b), [content.length]);

  // 1 % in eight places: five are written over, in three something is inserted.
  const pieces: Buffer[] = [];
  for (let place = 0; place < 8; place += 1) {
    const piece = content.subarray(place * 8 * MiB, (place + 1) * 8 * MiB);
    const news = seededBytes(80_000, 100 + place);
    const isInserted = place % 3 === 1;
    pieces.push(piece.subarray(0, 3 * MiB), news, piece.subarray(3 * MiB + (isInserted ? 0 : news.length)));
  }
  writeFileSync(film, Buffer.concat(pieces));
  await backUp();
  const [, changed] = receivedBytes(b) as [number, number];
  t.true(changed >= 8 * 80_000 && changed < 1.2 * MiB, `${changed} bytes came`);

  renameSync(film, join(source, 'renamed'));
  await backUp();
  copyFileSync(join(source, 'renamed'), join(source, 'copy'));
  await backUp();
  t.is(receivedBytes(b).length, 2, 'nothing more came');

  // An index that is lost is no reason to fetch more: what is held is read again.
  await b.stop();
  rmSync(join(b.state, 'index'), { recursive: true });
  await b.up();
  appendFileSync(join(source, 'renamed'), 'more');
  await backUp();
  const [, , appended] = receivedBytes(b) as [number, number, number];
  t.true(appended < 100_000, `${appended} bytes came\n${cluster.logs()}`);

  await a.kill();
  await b.ok('restore', 'films', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});

/** What hosts tell each other meanwhile, and what the origin writes to its state folder, at the most. */
const TALK_BYTES_MAX = 4 * MiB;

test.serial('a folder that is renamed moves nothing over the network, and writes no content again', async t => {
  const { cluster, source, store, a, backUp } = await originAndHolder(t);
  const day = join(source, 'day');
  mkdirSync(join(day, 'in'), { recursive: true });
  for (let n = 0; n < 200; n += 1)
    writeFileSync(join(day, n % 2 === 0 ? `${n}` : `in/${n}`), seededBytes(64 * 1024, 2 * n));
  for (const n of [1, 2]) writeFileSync(join(day, `large${n}`), seededBytes(10 * MiB, 1_000 + 2 * n));
  await backUp();
  const places = [{ host: 'b', path: store }];
  const before = inventory(places);
  t.is(before.length, 202);
  const sentBefore = whyNoSentBytes() === undefined ? sentBytes(a) : undefined;
  renameSync(day, join(source, 'renamed'));
  await backUp();
  t.deepEqual(inventory(places), before);
  if (sentBefore === undefined) t.log(`not looked at: ${whyNoSentBytes()}`);
  else t.true(sentBytes(a) - sentBefore < TALK_BYTES_MAX, `${sentBytes(a) - sentBefore} bytes`);
  await a.ok('restore', 'films', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});

test.serial('a fetch that a power cut ends goes on where it was, whichever side lost power', async t => {
  const { cluster, source, store, a, b, film, backUp } = await originAndHolder(t);
  const content = seededBytes(256 * MiB, 2);
  writeFileSync(film, content);
  const backsUp = a.run('backup', 'films');
  const partialBytes = (): number =>
    readdirSync(join(store, '.incoming')).reduce((sum, name) => sum + statSync(join(store, '.incoming', name)).size, 0);
  const caught = async (bytes: number): Promise<void> => {
    for (const untilMs = Date.now() + CAUGHT_MS_MAX; partialBytes() < bytes; await turn())
      if (Date.now() > untilMs) throw new Error(`never ${bytes} bytes on their way\n${cluster.logs()}`);
  };
  await caught(8 * MiB);
  await b.kill();
  await backsUp;
  const first = partialBytes();
  t.true(first >= 8 * MiB && first < 200 * MiB, `${first} bytes are here`);
  await b.up();
  await caught(first + 8 * MiB);
  // The other side now.
  await a.kill();
  await a.up();
  await backUp();
  const received = receivedBytes(b);
  const last = received.at(-1) ?? 0;
  t.true(received.length === 1 && last < content.length - first - 7 * MiB, `${received} bytes came for the last of it`);
  const [shard] = readdirSync(join(store, '.blobs')).filter(
    name => readdirSync(join(store, '.blobs', name)).length > 0,
  );
  const [blob] = readdirSync(join(store, '.blobs', shard as string));
  t.true(
    readFileSync(join(store, '.blobs', shard as string, blob as string)).equals(readFileSync(join(source, 'film'))),
  );
  t.is(partialBytes(), 0);
});
