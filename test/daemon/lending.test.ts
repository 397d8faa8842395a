import test from 'ava';
import type { HostId, SourceId } from '../../src/core/ids.js';
import { domainsFor, type LendingOptions } from '../../src/daemon/lending.js';

const [IMAC, MINI, NAS] = ['11', '22', '33'].map(two => two.repeat(16)) as [HostId, HostId, HostId];
const SOURCE = `${IMAC}/photos` as SourceId;
const NAMES = new Map([
  [IMAC, 'imac'],
  [MINI, 'mini'],
  [NAS, 'nas'],
]);

interface Other {
  /** Undefined: not heard since the start. */
  readonly weightMiB?: number;
  /** Whether each store of its policy drains. */
  readonly stores: readonly boolean[];
}

/** As imac sees them. */
const lending = (mini: Other, nas: Other): number =>
  domainsFor(SOURCE, {
    roster: {
      self: IMAC,
      members: () => [...NAMES.keys()].map(host => ({ host, domain: host, state: 'active', trust: 'trusted' })),
      nameOf: (host: HostId) => NAMES.get(host),
    },
    known: {
      host: (host: HostId) => {
        const { weightMiB } = host === MINI ? mini : nas;
        return weightMiB === undefined ? { weightMiB: 0 } : { weightMiB, heartbeat: {} };
      },
    },
    membership: {
      configuration: {
        policy: {
          hosts: new Map([
            ['mini', { stores: mini.stores.map(draining => ({ draining })) }],
            ['nas', { stores: nas.stores.map(draining => ({ draining })) }],
          ]),
        },
      },
    },
    stores: { reports: () => [] },
  } as unknown as LendingOptions);

test('a host lends when it says so, and, until it was heard, when its policy does', t => {
  t.is(lending({ weightMiB: 100, stores: [false] }, { stores: [false] }), 2);
  t.is(lending({ stores: [true] }, { stores: [] }), 0, 'what is to be emptied lends nothing');
  t.is(lending({ stores: [true, false] }, { stores: [] }), 1);
});

test('what a host says counts, whatever its policy has', t => {
  t.is(lending({ weightMiB: 0, stores: [false] }, { weightMiB: 5, stores: [] }), 1);
});
