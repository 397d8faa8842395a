import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { parseParcelId } from '../../src/core/ids.js';
import { blobsOf } from '../contracts/store-contract.js';
import { TestHost } from './real-store.js';

const KILLS = 8;
const LOOP = fileURLToPath(new URL('commit-loop.js', import.meta.url));

/** Runs the loop until it has reported so many commits, and kills it in the middle of the next ones. */
async function killedAfter(host: TestHost, commits: number): Promise<string[]> {
  const child = spawn(process.execPath, [LOOP, host.folder, String(host.boot)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const reported: string[] = [];
  for await (const line of createInterface(child.stdout)) {
    reported.push(line);
    if (reported.length === commits) child.kill('SIGKILL');
  }
  const [, signal] = await ended;
  if (signal !== 'SIGKILL') throw new Error('the loop ended by itself');
  return reported;
}

test('whatever moment the process is killed at, what it reported is there and what is there is right', async t => {
  t.timeout(60_000);
  const host = await TestHost.begin(t);
  const reported = new Set<string>();
  let leftovers = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    await host.index.close();
    host.boot += 1;
    for (const parcel of await killedAfter(host, 1 + ((kill * 7) % 5))) reported.add(parcel);

    const store = await host.restart();
    t.false(store.rescanDue);
    t.true(
      (await store.ops(0, 100_000)).every(({ op }) => op === 'add'),
      'no add without its files',
    );
    for (const parcel of reported) t.true(store.isPresent(parseParcelId(parcel)));
    for (const parcel of store.present()) {
      const record = await store.objects.get(parcel);
      if (record === undefined) return t.fail(`no record of ${parcel}`);
      for (const { blob, bytes } of blobsOf(record)) {
        const content = await readFile(join(host.storePath, '.blobs', blob.slice(0, 2), blob));
        if (content.length !== bytes || hashHex(content) !== blob) return t.fail(`blob ${blob} is wrong`);
      }
    }
    leftovers += [...store.present()].length - reported.size;
    await store.sweepIncoming(Date.now() + 60_000);
    await store.close();
  }
  t.log(`${reported.size} commits reported, ${leftovers} more were durable at a kill`);
});
