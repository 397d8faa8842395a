/** Faults: what each does to a host, and what follows, as in the daemon. */
import test from 'ava';
import { drawRun } from '../../sim/run-options.js';
import type { Boundary, SimHost } from '../../sim/sim-host.js';
import { HOUR_MS, MIB, MINUTE_MS, SECOND_MS, World } from '../../sim/world.js';
import type { Effect, Input } from '../../src/core/effects.js';
import { HANGING, LOOK_EVERY_MS } from '../../src/core/hanging.js';
import { parseNonce, parseParcelId, type SourceId, sourceIdOf } from '../../src/core/ids.js';

/** A world in which each parcel has its copies and all is quiet. */
function settled({ hosts = 5, copiesWanted = 2 } = {}) {
  const world = new World({ seed: 1 });
  const [origin, ...others] = world.addHosts(hosts, { freeBytes: 1024 * MIB }) as [SimHost, ...SimHost[]];
  world.run(MINUTE_MS);
  const parcels = world.backUp(origin, { parcels: 5, sizeBytes: MIB, copiesWanted });
  world.run(10 * MINUTE_MS);
  const asked: Effect[] = [];
  const told: Input[] = [];
  world.witnesses.push(happening => {
    if (happening.is === 'effect') asked.push(happening.effect);
    if (happening.is === 'told') told.push(happening.input);
  });
  return { world, origin, others, parcels, source: sourceIdOf(origin.id, 'files'), asked, told };
}

const seqOf = ({ running }: SimHost, source: SourceId) => running?.machine.known.head(source)?.seq;

test('a head that the state disk does not take is not in force, and its host and the others ask each other no more than now and then', t => {
  const { world, origin, others, source, asked } = settled();
  const [full, sound] = others as [SimHost, SimHost];
  full.disk.state.full = true;
  world.backUp(origin, { parcels: 1, sizeBytes: MIB });
  world.run(MINUTE_MS);
  t.is(seqOf(sound, source), 2);
  t.is(seqOf(full, source), 1);
  t.is(full.disk.heads.get(source)?.seq, 1);
  asked.length = 0;
  world.run(HOUR_MS);
  // Each of eight pairs once in a heartbeat at the most, where it was once in a second.
  const asks = asked.filter(effect => effect.do === 'ask-state').length;
  t.true(asks < (8 * HOUR_MS) / (4 * SECOND_MS), `${asks}`);
  full.disk.state.full = false;
  world.run(2 * MINUTE_MS);
  t.is(seqOf(full, source), 2);
});

test('a service whose start the state disk does not take is started again, until it does', t => {
  const { world, others } = settled();
  const [full] = others as [SimHost];
  const { boot } = full.disk;
  full.disk.state.full = true;
  world.restart(full);
  world.run(10 * MINUTE_MS);
  t.is(full.running, undefined);
  t.is(full.disk.boot, boot);
  full.disk.state.full = false;
  world.run(2 * MINUTE_MS);
  t.is(full.running?.boot, boot + 1);
});

for (const fault of ['full', 'failing'] as const) {
  test(`a store is not mounted by a new start while its disk is ${fault}, and then it is`, t => {
    const { world, others } = settled();
    const host = others.find(({ stores: [store] }) => (store?.present.size ?? 0) > 0);
    const [store] = host?.stores ?? [];
    const [lost] = store?.present ?? [];
    if (host === undefined || store === undefined || lost === undefined) return t.fail();
    world.crash(host);
    store[fault] = true;
    store.files.delete(lost);
    const before = { seq: store.log.seq, boot: store.boot };
    world.start(host);
    world.run(10 * MINUTE_MS);
    t.is(host.running?.mounted(store.id), undefined);
    t.deepEqual({ seq: store.log.seq, boot: store.boot }, before);
    store[fault] = false;
    world.run(2 * MINUTE_MS);
    t.is(host.running?.mounted(store.id), store);
    t.is(store.boot, host.disk.boot);
  });

  test(`no new log is begun while the disk is ${fault}`, t => {
    const { world, others } = settled();
    const [host] = others as [SimHost];
    const [store] = host.stores;
    if (store === undefined) return t.fail();
    world.crash(host);
    store[fault] = true;
    store.boot = -1;
    const { epoch } = store.log;
    world.start(host);
    world.run(10 * MINUTE_MS);
    t.is(store.log.epoch, epoch);
    store[fault] = false;
    world.run(2 * MINUTE_MS);
    t.not(store.log.epoch, epoch);
  });
}

test('the last frames that the disk did not take count until the service ends', t => {
  const { world, origin, others } = settled();
  const [full] = others as [SimHost];
  full.disk.state.full = true;
  const before = full.disk.frames.get(origin.id);
  world.run(HOUR_MS);
  t.is(full.disk.frames.get(origin.id), before);
  t.is(full.running?.machine.known.host(origin.id)?.liveness, 'live');
  full.disk.state.full = false;
  world.run(MINUTE_MS);
  t.not(full.disk.frames.get(origin.id), before);
});

test('a configuration that the state disk does not take is not used, and comes again', t => {
  const { world, origin, others } = settled();
  const [failing] = others as [SimHost];
  failing.disk.state.failing = true;
  const config = world.configure(({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies: 1 })) }), {
    at: origin,
  });
  if (config === undefined) return t.fail();
  world.run(MINUTE_MS);
  t.is(origin.disk.config, config);
  t.not(failing.disk.config, config);
  failing.disk.state.failing = false;
  world.run(MINUTE_MS);
  t.is(failing.disk.config, config);
});

test('who signs what its disk does not take goes on from what it had', t => {
  const { world, origin } = settled();
  origin.disk.state.full = true;
  world.configure(({ sources }) => ({ sources }), { at: origin });
  world.run(SECOND_MS);
  t.is(origin.signed, undefined);
});

test('a slow state disk takes a head later', t => {
  const { world, origin, others, source } = settled();
  const [slow] = others as [SimHost];
  slow.disk.state.slowMs = 20 * SECOND_MS;
  world.backUp(origin, { parcels: 1, sizeBytes: MIB });
  world.run(15 * SECOND_MS);
  t.is(seqOf(slow, source), 1);
  world.run(15 * SECOND_MS);
  t.is(seqOf(slow, source), 2);
});

test('wrong bytes of which the log does not take the word are bytes that cannot be read: PRESENT, and found again', t => {
  const { world, parcels, told } = settled();
  const [parcel] = parcels as [(typeof parcels)[0]];
  const [holder] = world.holders(parcel) as [SimHost];
  const [asker] = world.hosts.filter(host => host !== holder) as [SimHost];
  const [store] = holder.stores as [SimHost['stores'][0]];
  store.spoil(parcel, 'rotten');
  const ask = (nonce: string) => {
    const answers: unknown[] = [];
    told.length = 0;
    const { config } = holder.disk;
    const question = { from: asker.id, nonce: parseNonce(nonce.repeat(32)), parcel, config };
    holder.running?.answerGrant(question, answer => answers.push(answer));
    world.run(SECOND_MS);
    return told.flatMap(input => (input.is === 'possession-read' || input.is === 'own-ops' ? [input] : []));
  };
  store.full = true;
  t.like(ask('1'), [{ is: 'possession-read', because: 'unreadable' }]);
  t.true(store.present.has(parcel));
  store.full = false;
  t.like(ask('2'), [{ is: 'own-ops' }, { is: 'possession-read', because: 'corrupt' }]);
  t.false(store.present.has(parcel));
});

for (const on of ['ask-grants', 'answer-grant', 'note-unwanted'] as const) {
  for (const boundary of ['asked', 'begun', 'done'] as const satisfies Boundary[]) {
    test(`a host can die at ${on}, when it is ${boundary}`, t => {
      const { world, origin, source } = settled({ copiesWanted: 3 });
      let struck = 0;
      for (const host of world.hosts) {
        const strike = (): void => {
          struck += 1;
          world.restart(host);
        };
        host.armed = { on, boundary, strike };
      }
      if (on === 'note-unwanted') world.snapshot(origin, source, () => [world.catalog.snapshot(source, [], 0)]);
      else
        world.configure(({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies: 1 })) }), {
          at: origin,
        });
      world.run(HOUR_MS);
      t.true(struck > 0);
    });
  }
}

test('a host can die when it has taken on what it was offered', t => {
  const { world, others } = settled();
  const [host, offers] = others as [SimHost, SimHost];
  let struck = false;
  host.armed = {
    on: 'answer-relocation',
    boundary: 'done',
    strike: () => {
      struck = true;
      world.crash(host);
    },
  };
  const answers: boolean[] = [];
  host.running?.answerRelocation({ from: offers.id, parcels: [] }, accepted => answers.push(accepted));
  t.deepEqual(answers, [true]);
  t.true(struck);
});

test('a store whose disk takes too long for a read is said to hang, and to answer when that has ended', t => {
  const { world, parcels, told } = settled();
  const [parcel] = parcels as [(typeof parcels)[0]];
  const [holder] = world.holders(parcel) as [SimHost];
  const [store] = holder.stores as [SimHost['stores'][0]];
  const hangs = () => told.flatMap(input => (input.is === 'store-hangs' ? [input.hangs] : []));
  store.slowMs = HANGING.callMs - SECOND_MS;
  const ask = () => holder.running?.answerAudit({ nonce: parseNonce('1'.repeat(32)), parcel }, () => undefined);
  ask();
  world.run(MINUTE_MS);
  t.deepEqual(hangs(), []);
  store.slowMs = 3 * HANGING.callMs;
  ask();
  world.run(HANGING.callMs - 1);
  t.deepEqual(hangs(), []);
  world.run(LOOK_EVERY_MS + 1);
  t.deepEqual(hangs(), [true]);
  store.slowMs = 0;
  world.run(3 * HANGING.callMs);
  t.deepEqual(hangs(), [true, false]);
});

test('a store that is to be emptied is said to be', t => {
  const { world, others, told } = settled();
  const [host] = others as [SimHost];
  const [store] = host.stores as [SimHost['stores'][0]];
  store.draining = true;
  host.running?.lookAgain();
  t.like(told.at(-1), { is: 'store', store: store.id, draining: true });
  t.true(world.hosts.includes(host));
});

test('what nobody has a copy of, nor its origin any more, comes out of the trash again', t => {
  const { world, origin, parcels, told } = settled({ copiesWanted: 1 });
  const [parcel] = parcels as [(typeof parcels)[0]];
  const [holder] = world.holders(parcel) as [SimHost];
  const [store] = holder.stores as [SimHost['stores'][0]];
  world.lose(origin);
  world.crash(holder);
  const file = store.remove(parcel);
  if (file === undefined) return t.fail();
  store.commit({ op: 'del', parcel });
  store.trash.set(parcel, { ...file, untilMs: Number.POSITIVE_INFINITY });
  world.start(holder);
  world.run(15 * MINUTE_MS);
  t.true(store.hasCopy(parcel));
  t.is(store.trash.size, 0);
  t.true(told.some(input => input.is === 'taking-back'));
  t.true(told.some(input => input.is === 'taken-back'));
});

for (const [what, since] of [
  ['comes whole', () => 0],
  ['is only named, for it was read past', (seq: number) => seq],
] as const) {
  test(`a log that is another than what was read of it, as its checkpoint says, which ${what}, is read anew`, t => {
    const { world, others, told } = settled();
    const [writer, reader] = others as [SimHost, SimHost];
    const [store] = writer.stores as [SimHost['stores'][0]];
    const { running } = writer;
    if (running === undefined || store.log.seq < 2) return t.fail();
    const forked = store.log.fork(store.log.seq - 1);
    forked.append({ op: 'corrupt', parcel: parseParcelId('f'.repeat(64)) });
    forked.makeCheckpoint([], []);
    const answer = running.answerState.bind(running);
    running.answerState = question => ({
      ...answer(question),
      logs: [{ ...forked.telling(since(forked.seq)), relayed: false }],
      yours: [],
    });
    world.network.cut(writer, reader, false);
    world.run(MINUTE_MS);
    world.network.mend(writer, reader, false);
    world.run(MINUTE_MS);
    t.true(told.some(input => input.is === 'log-forked' && input.host === writer.id));
  });
}

test('some clusters have a host that roams, or one that is not trusted', t => {
  const drawn = Array.from({ length: 50 }, (_, seed) => drawRun(seed));
  t.true(drawn.some(({ roamingHosts = 0 }) => roamingHosts > 0));
  t.true(drawn.some(({ untrustedHosts = 0 }) => untrustedHosts > 0));
  t.true(drawn.every(({ hosts, copies, untrustedHosts = 0 }) => hosts - untrustedHosts > copies));
});

test('an untrusted host takes no copy and counts for none', t => {
  const world = new World({ seed: 1 });
  const [origin] = world.addHosts(4, { freeBytes: 1024 * MIB }) as [SimHost];
  const [stranger] = world.addHosts(1, { freeBytes: 1024 * MIB, trust: 'untrusted' }) as [SimHost];
  world.run(MINUTE_MS);
  const parcels = world.backUp(origin, { parcels: 10, sizeBytes: MIB, copiesWanted: 3 });
  world.run(20 * MINUTE_MS);
  t.true(parcels.every(parcel => world.holders(parcel).length === 3));
  t.deepEqual([...(stranger.stores[0]?.files.keys() ?? [])], []);
  t.is(stranger.running?.machine.known.head(sourceIdOf(origin.id, 'files')), undefined);
});
