import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { runService } from '../../src/daemon/run-service.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { NOON_MS } from '../membership/cast.js';

/** When the service is told to end: the network is begun with `listen`. */
for (const when of ['before anything was read', 'when the network is begun'] as const) {
  test(`a service that is stopped ${when} ends without a fault, and never is ready`, async t => {
    const stateDir = temporaryFolder(t);
    await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
    const end = new AbortController();
    let begun = 0;
    if (when === 'before anything was read') end.abort();
    await runService({
      stateDir,
      get listen() {
        begun += 1;
        end.abort();
        return ['/ip4/127.0.0.1/tcp/0'];
      },
      peers: [],
      mdns: false,
      signal: end.signal,
      onReady: () => t.fail('it became ready'),
    });
    t.is(begun, when === 'before anything was read' ? 0 : 1);
    // It counts neither as one that the index ended nor as one that runs.
    t.false(existsSync(join(stateDir, 'index-starts')));
    t.false(existsSync(join(stateDir, 'lock')));
  });
}
