import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { initCluster } from '../../src/membership/init-cluster.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { NOON_MS } from '../membership/cast.js';
import { cluster, MAIN } from './cli-fixture.js';

/** Far above what a service takes to end on a busy machine. */
const END_MS_MAX = 60_000;

test('a service whose log cannot be written, as on a full disk, becomes ready, answers and ends when it is told to', async t => {
  const stateDir = join(temporaryFolder(t), 's');
  await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
  const args = [MAIN, '--state', stateDir, 'up', '--no-mdns', '--listen', '/ip4/127.0.0.1/tcp/0'];
  // Open for reading alone, it takes nothing, on any system.
  const stdio = ['ignore', 'pipe', openSync(MAIN, 'r')] as const;
  const child = spawn(process.execPath, args, { timeout: END_MS_MAX, killSignal: 'SIGKILL', stdio: [...stdio] });
  const ended = once(child, 'exit');
  await once(child.stdout ?? child, 'data');
  const { code, err } = await cluster(['--state', stateDir, 'status']);
  t.is(code, 0, err);
  child.kill('SIGTERM');
  t.deepEqual(await ended, [0, null]);
});
