import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { type ParcelId, parseBlobId, parseParcelId } from '../../src/core/ids.js';
import type { Store } from '../../src/store/store.js';
import { blobsOf, presentByLog } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const KILLS = 10;
const NEVER = new AbortController().signal;
const LOOP = fileURLToPath(new URL('commit-loop.js', import.meta.url));

/** Runs the loop until it has said so many lines, and kills it in the middle of what comes next. */
async function killedAfter(host: TestHost, lines: number): Promise<string[]> {
  const child = spawn(process.execPath, [LOOP, host.folder, String(host.boot)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const said: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    said.push(line);
    if (said.length === lines) child.kill('SIGKILL');
  }
  const [, signal] = await ended;
  if (signal !== 'SIGKILL') throw new Error('the loop ended by itself');
  return said;
}

async function listedBy(store: Store, parcels: Iterable<ParcelId>): Promise<Map<string, number>> {
  const listed = new Map<string, number>();
  for (const parcel of parcels) {
    const record = await store.objects.get(parcel);
    if (record === undefined) throw new Error(`no record of ${parcel}`);
    for (const { blob, bytes } of blobsOf(record)) listed.set(blob, bytes);
  }
  return listed;
}

test('whatever moment the process is killed at, what it reported is so, and what is there is right', async t => {
  t.timeout(120_000);
  const host = await TestHost.begin(t);
  const inBlobs = join(host.storePath, '.blobs');
  const filesIn = async () =>
    (await readdir(inBlobs, { recursive: true })).flatMap(name => name.match(/[0-9a-f]{64}$/) ?? []);
  // A parcel of which a drop was begun may be gone; one of which it returned must be.
  const said = { held: new Set<ParcelId>(), dropping: new Set<ParcelId>(), dropped: new Set<ParcelId>() };
  let leftToSweeps = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    await host.index.close();
    host.boot += 1;
    for (const line of await killedAfter(host, 1 + ((kill * 7) % 23))) {
      const [what = '', parcel = ''] = line.split(' ');
      // The last line may be half.
      if (parcel.length === 64) said[what as keyof typeof said].add(parseParcelId(parcel));
    }

    const before = await filesIn();
    const store = await host.restart();
    t.false(store.rescanDue);
    const ops = await store.ops(0, 100_000);
    t.true(
      ops.every(({ op }) => op !== 'corrupt'),
      'no add without its files',
    );
    t.deepEqual(new Set(store.present()), await presentByLog(store));
    for (const parcel of said.held) if (!said.dropping.has(parcel)) t.true(store.isPresent(parcel));
    for (const parcel of said.dropped) t.false(store.isPresent(parcel));

    const listed = await listedBy(store, store.present());
    for (const [blob, bytes] of listed) {
      t.true(store.holds(parseBlobId(blob)));
      const content = await readFile(join(inBlobs, blob.slice(0, 2), blob));
      if (content.length !== bytes || hashHex(content) !== blob) return t.fail(`blob ${blob} is wrong`);
    }
    // What the log gave up leaves .blobs, whether or not the process came to move it.
    const sweep = { isSpared: () => false, graceMs: 1, signal: NEVER };
    for (const runMs of [0, 1]) await store.sweepStrays({ ...sweep, runMs });
    const gone = ops.flatMap(op => (op.op === 'del' && !store.isPresent(op.parcel) ? [op.parcel] : []));
    const givenUp = await listedBy(store, gone);
    const files = await filesIn();
    t.deepEqual(
      files.filter(blob => givenUp.has(blob) && !listed.has(blob)),
      [],
    );
    leftToSweeps += before.length - files.length;
    await store.sweepIncoming(Date.now() + 60_000);
    await store.close();
  }
  t.true(said.held.size > 0 && said.dropped.size > 0);
  t.log(
    `${said.held.size} commits and ${said.dropped.size} drops reported; of drops that a kill cut short, the sweeps moved ${leftToSweeps} files`,
  );
});
