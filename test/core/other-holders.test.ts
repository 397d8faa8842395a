import test from 'ava';
import { type ClusterConfig, DEFAULT_TIMING, type Member } from '../../src/core/cluster-config.js';
import { Hosts } from '../../src/core/hosts.js';
import {
  type HostId,
  parseClusterId,
  parseHostId,
  parseKey,
  parseParcelId,
  parsePeerName,
} from '../../src/core/ids.js';
import { OtherHolders } from '../../src/core/other-holders.js';
import { ParcelTable } from '../../src/core/parcel-table.js';

const PARCELS = 40;

/** Hosts that all hold all parcels, this one the first of them; those of `roam` roam. The origin is none of them. */
function holders({ hosts, roam, copiesWanted }: { hosts: number; roam: readonly number[]; copiesWanted: number }) {
  const ids = Array.from({ length: hosts }, (_, i) => parseHostId(`${i + 1}`.repeat(32)));
  const origin = parseHostId('9'.repeat(32));
  const members = ids.map(
    (host, i): Member => ({
      host,
      name: `h${i}`,
      peer: parsePeerName(`12D3Koo${'A'.repeat(45)}`),
      state: 'active',
      trust: 'trusted',
      domain: host,
      roaming: roam.includes(i),
    }),
  );
  const [self] = members as [Member];
  const config: ClusterConfig = {
    cluster: parseClusterId('c'.repeat(32)),
    version: 1,
    hash: 'a'.repeat(64),
    members,
    sources: [],
    timing: DEFAULT_TIMING,
  };
  const seen = new Hosts(self.host, DEFAULT_TIMING, { logsOf: () => [], absences: [] });
  seen.configure(config, 0);
  const table = new ParcelTable();
  const rows = Array.from({ length: PARCELS }, (_, n) => {
    const digits = (n * 7919 + 1).toString(16);
    const ref = { id: parseParcelId(digits.padStart(64, '0')), key: parseKey(digits.padStart(32, '0')), bytes: 1 };
    const row = table.describe(ref, 0);
    for (const slot of ids.keys()) table.setHeld(row, slot, true);
    return row;
  });
  const others = new OtherHolders({
    table,
    holdings: { hostOf: slot => ids[slot] as HostId },
    hosts: seen,
    placement: { domainOf: host => host, livenessOf: () => 'live', storeCounts: () => true },
    self: { host: self.host, member: () => self, weightMiB: 1 },
    copiesWanted: () => copiesWanted,
  });
  /** Who lets each parcel go, in this order. */
  return rows.map(row =>
    [...ids.keys()].sort((a, b) => (others.dropsBefore(row, origin, ids[a] as HostId, ids[b] as HostId) ? -1 : 1)),
  );
}

/** Who is in that place for some parcel. */
const places = (orders: readonly (readonly number[])[], place: number) =>
  [...new Set(orders.map(order => order[place]))].sort();

test('of more roaming hosts than may hold a parcel the last lets it go first, and after them whoever ranks last', t => {
  const orders = holders({ hosts: 4, roam: [0, 2], copiesWanted: 2 });
  t.true(orders.every(([first]) => first === 0 || first === 2));
  // Which of the two is by rank; the other one is like any host then.
  t.deepEqual(places(orders, 0), [0, 2]);
  t.deepEqual(places(orders, 1), [0, 1, 2, 3]);
});

test('where all hosts roam, or as many as may, they let go by rank alone', t => {
  for (const roam of [[0, 1, 2, 3], [0, 1], []]) {
    const orders = holders({ hosts: 4, roam, copiesWanted: 3 });
    t.deepEqual(places(orders, 0), [0, 1, 2, 3]);
  }
});
