import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { runService } from '../../src/daemon/run-service.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { NOON_MS } from '../membership/cast.js';

/** A service of which one part, the lock of its state folder, cannot end. Its log goes to this process's stderr. */
async function run(t: ExecutionContext, onReady: (end: AbortController) => void): Promise<void> {
  const stateDir = temporaryFolder(t);
  await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
  const end = new AbortController();
  await runService({
    stateDir,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    peers: [],
    mdns: false,
    signal: end.signal,
    onReady: () => {
      const lock = join(stateDir, 'lock');
      rmSync(lock);
      mkdirSync(lock);
      onReady(end);
    },
  });
}

test('a part that does not end cleanly is what a service that was stopped ends with', async t => {
  await t.throwsAsync(
    run(t, end => end.abort()),
    { instanceOf: AggregateError, message: /^the service did not end cleanly: EISDIR/ },
  );
});

test('what made the service end is told, and not what failed in its wake', async t => {
  const failure = new Error('nobody reads what it prints');
  await t.throwsAsync(
    run(t, () => {
      throw failure;
    }),
    { is: failure },
  );
});
