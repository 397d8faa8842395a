/** An owner of stores, for tests of own-stores.ts. */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import fc from 'fast-check';
import { pino } from 'pino';
import type { Entry } from '../../src/catalog/entry.js';
import { encodeRecord } from '../../src/catalog/record.js';
import { hashHex } from '../../src/core/hash.js';
import type { LogSegment } from '../../src/core/holdings-log.js';
import {
  type ParcelId,
  parseBlobId,
  parseClusterId,
  parseHostId,
  parseKey,
  parseParcelId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { steadyClock } from '../../src/daemon/clock.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { OwnStores, type OwnStoresOptions } from '../../src/daemon/own-stores.js';
import type { StoreSetting } from '../../src/membership/policy.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import type { Store } from '../../src/store/store.js';
import { arbitraryEntry } from '../catalog/arbitraries.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

export const host = parseHostId('a1'.repeat(16));

/** The stores of one host in a temporary folder, and all that the machine is told of them. */
export async function anOwner(
  t: ExecutionContext,
  {
    checkpointEveryOps = 100_000,
    patience,
    stateBelow = '.',
  }: {
    readonly checkpointEveryOps?: number;
    readonly stateBelow?: string;
    readonly patience?: OwnStoresOptions['patience'];
  } = {},
) {
  const folder = temporaryFolder(t);
  await mkdir(join(folder, 'disk'));
  await mkdir(join(folder, stateBelow), { recursive: true });
  const index = openIndexDatabase(join(folder, 'index'));
  const told: Unstamped[] = [];
  const hears = { logs: true, thenOnce: () => {} };
  const ended = new AbortController();
  const trash = { ms: 86_400_000, isSpared: (_blob: string) => false };
  const reserved = { bytes: 0 };
  const toldAllAtMount: boolean[] = [];
  const steady = steadyClock();
  const later = { ms: 0 };
  const lines: { readonly code?: string }[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const stores = new OwnStores({
    stateDir: join(folder, stateBelow),
    cluster: parseClusterId('c1'.repeat(16)),
    host,
    signer: signerFromSeed(generateKeyPair().seed),
    boot: 1,
    previousBoot: 0,
    index,
    clock: { nowMs: () => steady.nowMs() + later.ms, wallMs: () => steady.wallMs() },
    alarms,
    tell: input => {
      if (input.is === 'log' && !hears.logs) throw new Error('the machine does not hear');
      told.push(input);
      if (input.is !== 'log') return;
      const then = hears.thenOnce;
      hears.thenOnce = () => {};
      then();
    },
    log,
    signal: ended.signal,
    partialMs: () => 1_000,
    trashMs: () => trash.ms,
    sparing: async () => trash.isSpared,
    reservedBytes: () => reserved.bytes,
    onMount: () => void toldAllAtMount.push(stores.logsTellAll),
    checkpointEveryOps,
    ...(patience === undefined ? {} : { patience }),
  });
  await stores.open();
  t.teardown(async () => {
    ended.abort();
    await stores.close();
    await index.close();
  });
  const lends = { kind: 'limit', bytes: 1024 * 1024 } as const;
  const settingOf = (name: string): StoreSetting => ({
    path: join(folder, name),
    name: undefined,
    lends,
    draining: false,
  });
  return {
    folder,
    stores,
    logs: index.logs,
    told,
    hears,
    alarms,
    settingOf,
    trash,
    reserved,
    later,
    lines,
    toldAllAtMount,
  };
}

export const segmentsOf = (told: readonly Unstamped[]): LogSegment[] =>
  told.flatMap(input => (input.is === 'log' || input.is === 'head-kept' ? [input.segment] : []));
export const only = (stores: OwnStores): Store => [...stores.stores()][0] as Store;

/** A parcel of one file of so many bytes, in the store. */
export async function aCopy(store: Store, bytes: number): Promise<ParcelId> {
  const content = randomBytes(bytes);
  const blob = parseBlobId(hashHex(content));
  const incoming = await store.receive({ blob, bytes });
  await incoming.write(content);
  await incoming.finish();
  const [sample] = fc.sample(arbitraryEntry, { numRuns: 1, seed: 1 }) as [Entry];
  const file: Entry = {
    ...sample,
    path: Buffer.from('a'),
    kind: 'file',
    size: bytes,
    blob,
    target: undefined,
    device: 0n,
  };
  const record = encodeRecord({ source: sourceIdOf(host, 's'), key: parseKey('0'.repeat(32)), entries: [file] });
  const parcel = parseParcelId(hashHex(record));
  await store.commit(parcel, record);
  return parcel;
}

export const measuredOf = (told: readonly Unstamped[]) => told.filter(input => input.is === 'store').at(-1);
