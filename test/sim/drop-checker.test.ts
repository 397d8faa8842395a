/** Drop checker: sees each way in which a drop goes wrong, from happenings that are made up: one host lets its copy go, two others keep theirs. */
import test from 'ava';
import { CopyChecker } from '../../sim/checkers/copies.js';
import { DropChecker } from '../../sim/checkers/drops.js';
import { noCounts } from '../../sim/counts.js';
import type { Happening } from '../../sim/happening.js';
import { LETHAL, mutantOf } from '../../sim/mutants.js';
import { readRegressions } from '../../sim/regressions.js';
import { runSeed } from '../../sim/run-seed.js';
import type { World } from '../../sim/world.js';
import { type HostId, parseHostId, parseNonce, parseParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';

const PARCEL = parseParcelId('2'.repeat(64));
const NONCE = parseNonce('3'.repeat(32));
const ORIGIN: HostId = parseHostId('4'.repeat(32));
const SOURCE = sourceIdOf(ORIGIN, 'files');
const CONFIG = configOf(2);

/** @param untrusted the number of a host that is */
function configOf(copies: number, { version = 5, untrusted }: { version?: number; untrusted?: number } = {}) {
  const members = [0, 1, 2].map(number => ({
    host: idOf(number),
    domain: idOf(number),
    state: 'active',
    trust: number === untrusted ? 'untrusted' : 'trusted',
  }));
  return { version, members, sources: [{ source: SOURCE, copies }] };
}

function idOf(number: number): HostId {
  return parseHostId(`${number}`.repeat(32));
}

function hostOf(number: number) {
  const present = new Set([PARCEL]);
  const store = {
    id: parseStoreId(`${number}`.repeat(32)),
    present,
    keeps: (parcel: typeof PARCEL) => present.has(parcel),
    files: new Map([[PARCEL, { content: PARCEL }]]),
  };
  const host = { number, id: idOf(number), lost: false, disk: { config: CONFIG }, stores: [store] };
  const by = { host, boot: 1, attempts: 0, machine: { known: { pending: () => ({ attempts: by.attempts }) } } };
  return { ...host, store, by, running: by as typeof by | undefined };
}

/** Host 0 is to let its copy go by the grants of hosts 1 and 2; what a test changes of that is what it is about. */
function droppingOf({ config = CONFIG, origin = ORIGIN } = {}) {
  const hosts = [hostOf(0), hostOf(1), hostOf(2)] as const;
  const [dropper, ...holders] = hosts;
  for (const { disk } of hosts) disk.config = config;
  const world = {
    hosts,
    counts: noCounts(),
    catalog: { parcel: () => ({ source: SOURCE, origin }) },
    copies: (_: unknown, { members }: typeof CONFIG) =>
      hosts.filter(({ id, store }) => {
        const isTrusted = members.some(({ host, trust }) => host === id && trust === 'trusted');
        return isTrusted && store.present.has(PARCEL);
      }).length,
  };
  const checker = new DropChecker(world as unknown as World);
  const see = (happening: object): void => checker.see(happening as Happening);
  const effect = (by: object, what: object): void => see({ is: 'effect', by, effect: what });
  const told = (by: object, input: object): void => see({ is: 'told', by, input });
  const of = { attempt: NONCE, parcel: PARCEL, store: dropper.store.id, holders: holders.map(({ id }) => id) };
  return {
    checker,
    hosts,
    counts: world.counts,
    enters(by: (typeof hosts)[number] = dropper): void {
      by.by.attempts += 1;
      effect(by.by, { do: 'prove-own', ...of, store: by.store.id });
    },
    asks: (): void => effect(dropper.by, { do: 'ask-grants', ...of, config: CONFIG }),
    grants({ by }: (typeof hosts)[number], nonce = NONCE): void {
      told(by, { is: 'grant-asked', ask: 1, parcel: PARCEL, nonce });
      see({ is: 'read', by, ask: 1 });
      effect(by, { do: 'answer-grant', ask: 1, to: dropper.id, nonce, parcel: PARCEL, answer: { answer: 'grant' } });
    },
    gives(up: (typeof hosts)[number], askedFor: boolean): void {
      if (askedFor) told(up.by, { is: 'grant-asked', ask: 2, parcel: PARCEL, nonce: NONCE });
      else told(up.by, { is: 'wake' });
      effect(up.by, { do: 'cancel-attempt', attempt: NONCE });
    },
    isAnswered: ({ id }: (typeof hosts)[number], configVersion: number): void =>
      told(dropper.by, {
        is: 'grant-answered',
        attempt: NONCE,
        from: id,
        answer: { answer: 'deny', because: 'busy', configVersion },
      }),
    commits: (configVersion = CONFIG.version): void =>
      effect(dropper.by, {
        do: 'drop',
        proof: { nonce: NONCE, parcel: PARCEL, store: dropper.store.id, granters: of.holders, configVersion },
      }),
    removes({ store, by: { host } }: (typeof hosts)[number] = dropper): void {
      store.present.delete(PARCEL);
      see({ is: 'durable', host, store, op: { op: 'del', parcel: PARCEL } });
    },
    goes({ store, by: { host } }: (typeof hosts)[number]): void {
      store.present.delete(PARCEL);
      see({ is: 'injected-loss', host, parcel: PARCEL });
    },
  };
}

/** … up to where it may commit. */
function granted(options: Parameters<typeof droppingOf>[0] = {}) {
  const dropping = droppingOf(options);
  dropping.enters();
  dropping.asks();
  for (const holder of dropping.hosts.slice(1)) dropping.grants(holder as never);
  return dropping;
}

test('a drop by the grants that it needs is in order, then and in full', t => {
  const { commits, removes, checker, counts } = granted();
  t.notThrows(() => commits());
  t.notThrows(() => removes());
  t.notThrows(() => checker.full());
  t.is(counts.drops, 1);
});

test('a grant of a host that is about to drop the parcel is seen at once, whether or not it ever does (I3)', t => {
  const { enters, grants, gives, hosts, counts } = droppingOf();
  const [dropper] = hosts;
  enters();
  t.throws(() => grants(dropper), { message: 'I3: h0 granted 22222222 while it was about to drop it' });
  gives(dropper, true);
  t.notThrows(() => grants(dropper));
  t.like(counts, { yields: 1, voidAttempts: 1 });
});

test('who gives up for another reason has not given way', t => {
  const { enters, gives, hosts, counts } = droppingOf();
  enters();
  gives(hosts[0], false);
  t.like(counts, { yields: 0, voidAttempts: 1 });
});

test('a commit by another configuration than is in use there is seen (I2)', t => {
  t.throws(() => granted().commits(4), { message: /^I2: h0 drops 22222222 by another configuration/ });
  const { commits, hosts } = granted();
  hosts[0].disk.config = configOf(2);
  t.throws(() => commits(), { message: /^I2: h0 drops 22222222 by another configuration/ });
});

test('… and one after an answer by a newer configuration, of somebody who was asked (I2)', t => {
  const [one, other, third] = [granted(), granted(), granted()];
  one.isAnswered(one.hosts[1], CONFIG.version);
  t.notThrows(() => one.commits());
  other.isAnswered(other.hosts[0], CONFIG.version + 1);
  t.notThrows(() => other.commits());
  third.isAnswered(third.hosts[1], CONFIG.version + 1);
  t.throws(() => third.commits(), { message: /^I2: .* though an answer came by a newer configuration/ });
});

test('what falls below N by the configuration of a drop is seen, though another in use asks for less (I1)', t => {
  const { hosts, commits, removes } = granted();
  hosts[1].disk.config = configOf(1);
  commits();
  hosts[2].store.present.clear();
  t.throws(() => removes(), { message: /^I1: h0 dropped 22222222: 1 copies are left of 2, and 2 are wanted/ });
});

test('… and by that of a host that granted for it (I1)', t => {
  const { hosts, enters, asks, grants, commits, removes } = droppingOf();
  const [, first, second] = hosts;
  enters();
  asks();
  second.disk.config = configOf(3);
  grants(first);
  grants(second);
  commits();
  t.throws(() => removes(), { message: /^I1: h0 dropped 22222222: 2 copies are left of 3, and 3 are wanted/ });
});

test('a removal that nobody asked for is judged by what is in use there, whatever any head lists (I1)', t => {
  const { hosts, removes } = droppingOf();
  t.notThrows(() => removes(hosts[2]));
  t.throws(() => removes(), { message: /^I1: h0 dropped 22222222: 1 copies are left of 2, and 2 are wanted/ });
});

test('what goes from a host that may hold no copies takes none away (I1)', t => {
  t.notThrows(() => droppingOf({ config: configOf(3, { untrusted: 0 }) }).removes());
  t.throws(() => droppingOf({ config: configOf(3, { untrusted: 1 }) }).removes(), {
    message: /^I1: h0 dropped 22222222: 1 copies are left of 2, and 3 are wanted/,
  });
});

test('grants of a host that may hold no copies, and of the origin, do not count (I2)', t => {
  t.notThrows(() => granted({ config: configOf(2, { untrusted: 0 }) }).commits());
  const message = /^I2: h0 drops 22222222 on 1 grants for its attempt, and 2 are wanted/;
  t.throws(() => granted({ config: configOf(2, { untrusted: 1 }) }).commits(), { message });
  t.throws(() => granted({ origin: idOf(2) }).commits(), { message });
});

test('an attempt that nobody saw entered is seen in full (I2)', t => {
  const { checker, enters, hosts } = droppingOf();
  enters();
  t.notThrows(() => checker.full());
  hosts[1].by.attempts = 1;
  t.throws(() => checker.full(), { message: 'I2: h1 has 1 attempts under way, and 0 were entered' });
});

test('… and a grant to a nonce by which nobody asked (I4)', t => {
  const { checker, grants, hosts } = droppingOf();
  grants(hosts[1], parseNonce('9'.repeat(32)));
  t.throws(() => checker.full(), { message: /^I4: a grant answers 9+, by which nobody asked/ });
});

test('… and who granted to the last drop and has its copy no more, unless a fault took it (I2)', t => {
  const { commits, removes, checker, goes, hosts } = granted();
  commits();
  removes();
  goes(hosts[1]);
  t.notThrows(() => checker.full());
  hosts[2].store.present.clear();
  t.throws(() => checker.full(), { message: /^I2: 22222222 granted 22222222 for the last drop of it/ });
});

test('… and how many copies are left since the last drop (I1)', t => {
  const { checker, removes, goes, hosts } = droppingOf();
  removes();
  t.notThrows(() => checker.full());
  goes(hosts[1]);
  t.notThrows(() => checker.full());
  hosts[2].store.present.clear();
  t.throws(() => checker.full(), { message: 'I1: 22222222 has 0 copies, and its last drop had to leave 2' });
});

test('a copy that goes without a drop is seen in full (I1)', t => {
  const hosts = [hostOf(0), hostOf(1)] as const;
  const checker = new CopyChecker();
  for (const { store, by } of hosts)
    checker.see({ is: 'durable', host: by.host, store, op: { op: 'add', parcel: PARCEL } } as unknown as Happening);
  t.notThrows(() => checker.full());
  for (const { store } of hosts) store.present.clear();
  checker.see({ is: 'injected-loss', host: hosts[0].by.host, parcel: PARCEL } as unknown as Happening);
  t.throws(() => checker.full(), { message: 'I1: the copy of 22222222 at h1 went without a drop' });
});

test('a host that asks before it is dropping is seen by its grant, before anything is lost', t => {
  const mutant = mutantOf('ask-before-dropping');
  const kept = readRegressions().find(regression => regression.mutant === mutant?.name);
  if (kept === undefined) throw new Error('it was not recorded');
  for (let seed = kept.options.seed; ; seed += 1) {
    const options = { ...kept.options, seed };
    const late = runSeed(options, { mutant });
    if (late.failed?.by !== kept.by) continue;
    const soon = runSeed(options, { mutant, lethal: new Set([...LETHAL, 'I3' as const]) });
    t.is(soon.failed?.by, 'I3');
    t.true(soon.events < late.events);
    return;
  }
});
