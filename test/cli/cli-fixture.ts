/**
 * The real command, run as a child process, against the real control server in this process, whose service gives fixed data.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { ClusterError } from '../../src/core/fault.js';
import type { ClusterId, HostId, Key, ObjectId, ParcelId, SourceId } from '../../src/core/ids.js';
import { startControlServer } from '../../src/daemon/control-server.js';
import type {
  HostReport,
  PlacementReport,
  Service,
  SnapshotReport,
  SourceReport,
  StatusReport,
} from '../../src/daemon/service.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

export const MAIN = fileURLToPath(new URL('../../src/cli/cluster.cjs', import.meta.url));
/** Above what any of these commands takes on a busy machine; a hang fails the test. */
const RUN_MS_MAX = 30_000;

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Where it runs; default: where the test does. */
  readonly cwd?: string;
  readonly input?: string;
  /** What starts it, as somebody else. */
  readonly by?: readonly string[];
  /** Sent once `when` matches what was printed to stdout so far, or resolves. */
  readonly kill?: { readonly signal: NodeJS.Signals; readonly when: RegExp | Promise<unknown> };
}

export function cluster(
  args: readonly string[],
  { env = {}, cwd = process.cwd(), input = '', by = [], kill }: RunOptions = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const clean = { PATH: process.env.PATH, HOME: '/nonexistent', XDG_STATE_HOME: '/nonexistent', TZ: 'UTC', ...env };
    const [command = '', ...words] = [...by, process.execPath, MAIN, ...args];
    const child = spawn(command, words, { env: clean, cwd, timeout: RUN_MS_MAX, killSignal: 'SIGKILL' });
    let out = '';
    let err = '';
    let sent = false;
    if (kill?.when instanceof Promise) void kill.when.then(() => child.kill(kill.signal));
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk;
      if (kill?.when instanceof RegExp && kill.when.test(out) && !sent) {
        sent = true;
        child.kill(kill.signal);
      }
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk;
    });
    child.on('error', reject);
    child.on('close', code => resolve({ code, out, err }));
    // A command that does not read its input may be gone before it is written.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** The JSON records that a command printed. */
export const recordsOf = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Record<string, unknown>);

export const HOST = '11'.repeat(16) as HostId;
export const SOURCE_ID = `${HOST}/photos` as SourceId;

export const snapshotOf = (changes: Partial<SnapshotReport> = {}): SnapshotReport => ({
  id: 'ab'.repeat(32) as ObjectId,
  source: 'photos',
  sourceId: SOURCE_ID,
  origin: 'imac',
  timeMs: Date.UTC(2026, 6, 1, 12, 30, 15),
  files: 3,
  bytes: 4096,
  partial: false,
  stale: 0,
  missed: 0,
  protected: true,
  ...changes,
});

/** What a name of the newest snapshot stands for. */
export const resolved = (changes: Partial<Awaited<ReturnType<Service['resolve']>>> = {}) => ({
  source: 'photos',
  sourceId: SOURCE_ID,
  snapshot: snapshotOf(),
  under: Buffer.alloc(0),
  ...changes,
});

export const hostOf = (changes: Partial<HostReport> = {}): HostReport => ({
  name: 'imac',
  id: HOST,
  state: 'active',
  self: true,
  trust: 'trusted',
  domain: HOST,
  roaming: false,
  lentBytes: 300_000_000_000,
  usedBytes: 1_000_000_000,
  freeBytes: 299_000_000_000,
  seenMs: Date.UTC(2026, 6, 1),
  stores: [],
  ...changes,
});

export const sourceOf = (changes: Partial<SourceReport> = {}): SourceReport => ({
  source: 'photos',
  sourceId: SOURCE_ID,
  origin: 'imac',
  copies: 2,
  parcels: { wanted: 10, haveMin: 2, under: 0, over: 0 },
  lastSnapshot: snapshotOf(),
  fresh: true,
  ...changes,
});

export const statusOf = (changes: Partial<StatusReport> = {}): StatusReport => ({
  cluster: 'home',
  clusterId: '22'.repeat(16) as ClusterId,
  host: 'imac',
  hostId: HOST,
  configVersion: 7,
  addresses: ['/ip4/127.0.0.1/tcp/4747'],
  sources: [sourceOf()],
  hosts: [hostOf(), hostOf({ name: 'mini', self: false, state: 'suspect' })],
  alarms: [],
  pending: { claims: 0, fetches: 0, drops: 0, relocations: 0 },
  process: { hasher: 'wasm', loopDelay: { p99Ms: 3, maxMs: 40 } },
  protected: true,
  settled: true,
  ...changes,
});

/** The nth parcel: of the newest snapshot, unless `changes` say otherwise. */
export function placementOf(
  n: number,
  changes: Pick<PlacementReport, 'holders'> & Partial<PlacementReport>,
): PlacementReport {
  const hex = n.toString(16).padStart(2, '0');
  return {
    parcel: hex.repeat(32) as ParcelId,
    key: hex.repeat(16) as Key,
    bytes: 1_000_000,
    source: 'photos',
    sourceId: SOURCE_ID,
    listed: true,
    atOrigin: true,
    want: 2,
    ...changes,
  };
}

const notExpected = (method: string) => () => {
  throw new ClusterError('NOT_EXPECTED', `this test does not expect ${method}`, { blame: 'operator' });
};

/** A service that refuses whatever the test does not give. */
export function serviceOf(given: Partial<Service>): Service {
  const methods = [
    'status',
    'statusChanges',
    'hosts',
    'adminRequest',
    'adminAdd',
    'leaving',
    'pause',
    'resume',
    'configShow',
    'configDraft',
    'configHistory',
    'configAt',
    'configRollback',
    'timing',
    'configApply',
    'configPlan',
    'configAddStore',
    'configAddSource',
    'invite',
    'drain',
    'revoke',
    'replace',
    'backup',
    'protection',
    'snapshots',
    'replicas',
    'explain',
    'placements',
    'scrub',
    'drill',
    'resolve',
    'entries',
    'liveDiff',
    'makeTrees',
    'removeTrees',
    'content',
  ] as const satisfies readonly (keyof Service)[];
  const refusing = Object.fromEntries(methods.map(method => [method, notExpected(method)]));
  return { ...(refusing as unknown as Service), ...given };
}

/** A state folder whose control socket answers with this. Gives its path. */
export async function serve(t: ExecutionContext, given: Partial<Service>): Promise<string> {
  const stateDir = join(temporaryFolder(t), 's');
  mkdirSync(join(stateDir, 'config'), { recursive: true });
  const server = await startControlServer({ stateDir, service: serviceOf(given), log: pino({ level: 'silent' }) });
  t.teardown(() => server.close());
  return stateDir;
}

export async function* each<Item>(...items: readonly Item[]): AsyncIterable<Item> {
  yield* items;
}

/** Gives these, then nothing more until the signal aborts. */
export async function* eachThenSilence<Item>(signal: AbortSignal, ...items: readonly Item[]): AsyncIterable<Item> {
  yield* items;
  await new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  );
}
