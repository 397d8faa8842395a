import test from 'ava';
import { type ExplainView, explainHost, type HostExplained, type Why } from '../../src/core/explain.js';
import type { HostId, ParcelId } from '../../src/core/ids.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const OTHER = '22'.repeat(16) as HostId;

/** A host that could take a copy that is missing. */
const FIT: ExplainView = {
  isOrigin: false,
  member: { state: 'active', trust: 'trusted' },
  liveness: 'live',
  isSetAside: false,
  holds: false,
  isStoreThere: false,
  domainHolder: undefined,
  claims: false,
  lends: true,
  hasRoom: true,
  missing: 1,
};
const HOLDS = { holds: true, isStoreThere: true, missing: 0 } as const;

const uncounted = (because: Extract<Why, { has: 'uncounted-copy' }>['because']): Why => ({
  has: 'uncounted-copy',
  because,
});
const nothing = (because: 'dead'): Why => ({ has: 'nothing', because });

const CASES: readonly (readonly [string, Partial<ExplainView>, Why])[] = [
  ['could take a copy', {}, { has: 'nothing', because: 'in-turn' }],
  ['has too little room', { hasRoom: false }, { has: 'nothing', because: 'no-room' }],
  ['is not needed', { missing: 0 }, { has: 'nothing', because: 'enough-copies' }],
  [
    'is not needed, and has too little room',
    { missing: 0, hasRoom: false },
    { has: 'nothing', because: 'enough-copies' },
  ],
  ['lends nothing', { lends: false, hasRoom: false }, { has: 'nothing', because: 'no-store' }],
  ['is not there now', { liveness: 'suspect' }, { has: 'nothing', because: 'not-seen' }],
  ['is dead', { liveness: 'dead' }, nothing('dead')],
  ['shares a domain', { domainHolder: OTHER }, { has: 'nothing', because: 'same-domain', with: OTHER }],
  ['claims', { claims: true }, { has: 'claim' }],
  ['drains', { member: { state: 'draining', trust: 'trusted' } }, { has: 'nothing', because: 'draining' }],
  ['is not trusted', { member: { state: 'active', trust: 'untrusted' } }, { has: 'nothing', because: 'untrusted' }],
  ['runs twice', { isSetAside: true }, { has: 'nothing', because: 'two-machines' }],
  ['is the origin', { isOrigin: true }, { has: 'original' }],
  ['is the origin, and dead', { isOrigin: true, liveness: 'dead' }, { has: 'original' }],
  ['holds one', HOLDS, { has: 'copy' }],
  ['holds one and is suspect', { ...HOLDS, liveness: 'suspect' }, { has: 'copy' }],
  ['holds one and is dead', { ...HOLDS, liveness: 'dead' }, uncounted('dead')],
  ['holds one and drains', { ...HOLDS, member: { state: 'draining', trust: 'trusted' } }, uncounted('draining')],
  ['holds one and is the origin', { ...HOLDS, isOrigin: true }, uncounted('origin')],
  ['holds one in a store that is away', { ...HOLDS, isStoreThere: false }, uncounted('store-away')],
  [
    'holds one beside another of its domain',
    { ...HOLDS, domainHolder: OTHER },
    { has: 'uncounted-copy', because: 'same-domain', with: OTHER },
  ],
];

for (const [what, changes, why] of CASES) {
  test(`a host that ${what} is explained`, t => {
    t.deepEqual(explainHost({ ...FIT, ...changes }), why);
  });
}

const explainedBy = (asked: SmallHost, parcel: Parameters<typeof asked.machine.known.explain>[0]) =>
  asked.machine.known.explain(parcel) as readonly HostExplained[];

test('every host explains a parcel alike, each host in its rank: copies first, then whoever would be next', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}, { domain: 'cellar' }, { domain: 'cellar' }, {}]);
  const [origin] = world.hosts as [SmallHost];
  // One at a time: a host that is busy lets the next one go first.
  for (let n = 0; n < 12; n += 1) {
    const [id] = world.backUp(origin, [{ bytes: MIB }]) as [ParcelId];
    world.run(60_000);
    const told = explainedBy(origin, id);
    for (const host of world.hosts) t.deepEqual(explainedBy(host, id), told);
    const whyOf = (host: SmallHost): Why => told.find(one => one.host === host.id)?.why as Why;
    t.deepEqual(whyOf(origin), { has: 'original' });
    const holders = world.hosts.filter(host => host.present.has(id));
    t.is(holders.length, 2);
    for (const host of holders) t.deepEqual(whyOf(host), { has: 'copy' });
    for (const { why } of told)
      t.true(why.has !== 'nothing' || ['enough-copies', 'same-domain'].includes(why.because), JSON.stringify(why));
    const rankOf = (host: SmallHost): number => told.findIndex(one => one.host === host.id);
    for (const host of world.hosts) {
      const why = whyOf(host);
      if (why.has !== 'nothing' || why.because !== 'enough-copies') continue;
      for (const holder of holders) t.true(rankOf(holder) < rankOf(host));
    }
  }
});

test('nothing is explained of a parcel that no snapshot lists', t => {
  const world = new SmallWorld([{}, {}]);
  const [host] = world.hosts as [SmallHost];
  t.is(host.machine.known.explain('ab'.repeat(32) as never), undefined);
});
