/** How much memory one host machine takes for each parcel of a large cluster, all typed arrays and objects counted. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { nameOf } from '../../sim/catalog-model.js';
import { Chance } from '../../src/core/chance.js';
import { DEFAULT_TIMING, type Member } from '../../src/core/cluster-config.js';
import { type LogOp, logAfter, logStart } from '../../src/core/holdings-log.js';
import {
  parseClusterId,
  parseHostId,
  parseKey,
  parseNonce,
  parseParcelId,
  parsePeerName,
  parseStoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import { Machine } from '../../src/core/machine.js';
import { NO_CHANGE } from '../helpers/no-change.js';

const COPIES = 2;
const BATCH = 1_000;

export function bytesPerParcel({
  parcels,
  hosts: count,
}: {
  readonly parcels: number;
  readonly hosts: number;
}): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = (): number => {
    // The memory of discarded typed arrays is given back only by the next collection.
    for (let time = 0; time < 3; time += 1) collect();
    const { heapUsed, arrayBuffers, external } = process.memoryUsage();
    return heapUsed + Math.max(arrayBuffers, external);
  };
  const hosts = Array.from({ length: count }, (_, i) => parseHostId(nameOf(`host ${i}`).slice(0, 32)));
  const [self, origin] = hosts;
  if (self === undefined || origin === undefined) return 0;
  const source = sourceIdOf(origin, 'files');
  const members = hosts.map(
    (host, i): Member => ({
      host,
      name: `h${i}`,
      peer: parsePeerName(`12D3Koo${'A'.repeat(45)}`),
      state: 'active',
      trust: 'trusted',
      domain: host,
      roaming: false,
    }),
  );
  const config = {
    cluster: parseClusterId('c'.repeat(32)),
    version: 1,
    hash: 'a'.repeat(64),
    members,
    sources: [{ source, copies: COPIES }],
    timing: DEFAULT_TIMING,
  };
  const before = used();
  const chance = new Chance([1, 2, 3]);
  const machine = new Machine({
    self,
    boot: 1,
    chance,
    nonces: () => parseNonce('0'.repeat(32)),
    config,
    nowMs: 0,
    ranBeforeMs: 0,
  });
  machine.step({
    is: 'store',
    nowMs: 1,
    store: storeOf(0),
    lentBytes: 1e15,
    usedBytes: 0,
    draining: false,
    unread: false,
  });
  const logs = hosts.map((_, i) => ({ ends: logStart(storeOf(i), { counter: 1, random: '0'.repeat(16) }) }));
  for (let from = 0; from < parcels; from += BATCH) {
    const add = Array.from({ length: Math.min(BATCH, parcels - from) }, (_, i) => ({
      id: parseParcelId(nameOf(`parcel ${from + i}`)),
      key: parseKey(nameOf(`key ${from + i}`).slice(0, 32)),
      bytes: 20_000_000,
    }));
    // The holders are known before the parcels are wanted, so that nothing is claimed while the view is built.
    const opsOf = new Map<number, LogOp[]>();
    for (const [i, { id }] of add.entries()) {
      for (let copy = 0; copy < COPIES; copy += 1) {
        const holder = (from + i + copy * 7) % count;
        opsOf.set(holder, [...(opsOf.get(holder) ?? []), { op: 'add', parcel: id }]);
      }
    }
    for (const [holder, ops] of opsOf) {
      const log = logs[holder];
      const host = hosts[holder];
      if (log === undefined || host === undefined) continue;
      for (const op of ops) log.ends = logAfter(log.ends, op);
      machine.step({ is: 'log', nowMs: 2, segment: { host, end: log.ends, ops, signature: new Uint8Array(64) } });
    }
    machine.step({
      is: 'wanted',
      nowMs: 3,
      source,
      head: { source, seq: 1 + from, hash: nameOf(`head ${from}`) },
      ...NO_CHANGE,
      add,
    });
  }
  const bytes = used() - before;
  // Looked at after the measurement, so that it is not collected before.
  return machine.known.summary(source).parcels === parcels ? bytes / parcels : Number.NaN;
}

const storeOf = (i: number) => parseStoreId(nameOf(`store ${i}`).slice(0, 32));
