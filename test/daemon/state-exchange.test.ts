import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import {
  type CheckpointPiece,
  ContentsChain,
  checkpointMessage,
  contentsOf,
  piecesOf,
} from '../../src/core/checkpoint.js';
import type { Member } from '../../src/core/cluster-config.js';
import type { Boot } from '../../src/core/duplicate.js';
import type { FrameNumber } from '../../src/core/frame-window.js';
import {
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logAfterAll,
  logStart,
  positionMessage,
} from '../../src/core/holdings-log.js';
import {
  type HostId,
  type ParcelId,
  parseHostId,
  parseParcelId,
  parseStoreId,
  type SourceId,
  sourceIdOf,
} from '../../src/core/ids.js';
import type { Heartbeat } from '../../src/core/messages.js';
import { formerBootMax } from '../../src/daemon/boot-counter.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Revocations } from '../../src/daemon/revocations.js';
import { Roster } from '../../src/daemon/roster.js';
import { StateExchange, type StateExchangeOptions } from '../../src/daemon/state-exchange.js';
import type { Revocation } from '../../src/membership/configuration.js';
import { peerNameOf, publicKeyOf } from '../../src/membership/peer-key.js';
import { askState, STATE_VECTOR_MAX } from '../../src/net/state-protocol.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import type { LogArchive } from '../../src/store/log-archive.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { type Host, House, until } from '../net/fleet.js';

const [asker, answerer, third] = ['a1', 'b2', 'c3'].map(byte => parseHostId(byte.repeat(16))) as [
  HostId,
  HostId,
  HostId,
];
const STORE = parseStoreId('5a'.repeat(16));

const heartbeatOf = (boot: number): Heartbeat => ({
  kind: 'heartbeat',
  boot,
  bootId: '00'.repeat(8),
  stores: [],
  configVersion: 1,
  headsDigest: '00'.repeat(32),
  paceBytesPerS: 0,
});

const headOf = (source: SourceId) => ({ head: { source, seq: 1 }, sealed: Buffer.from(source) });

/** Two members, of which one may be asked; its log archive is empty, and the asker has no store mounted. */
async function aPair(
  t: ExecutionContext,
  {
    trust = 'trusted',
    answererTrust = 'trusted',
    askerHasRead = [],
    squattedByOther = [],
    othersFirst = false,
    answererHas = [],
    apart = false,
    askerStartedBefore,
    heads = [],
    voidHeads = [],
    revoked = [],
  }: {
    trust?: string;
    answererTrust?: string;
    askerHasRead?: readonly LogPosition[];
    /** Logs that the asker has read of a third host. */
    squattedByOther?: readonly LogPosition[];
    /** It read these before the answerer's. */
    othersFirst?: boolean;
    answererHas?: readonly LogPosition[];
    /** Each has an archive of its own; else what one keeps the other has too. */
    apart?: boolean;
    /** A start of the asker that the other one's machine knows of. */
    askerStartedBefore?: Boot;
    /** Sources of which the answerer has a head. */
    heads?: readonly SourceId[];
    /** Sources of the asker of which the answerer has a head that is valid no more. */
    voidHeads?: readonly SourceId[];
    /** Machines that were one of the hosts before. */
    revoked?: readonly Revocation[];
  } = {},
) {
  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  const frames: FrameNumber[] = [];
  const folder = temporaryFolder(t);
  const members = [
    { host: asker, peer: a.net.peer, name: 'a', state: 'active', trust },
    { host: answerer, peer: b.net.peer, name: 'b', state: 'active', trust: answererTrust },
  ] as unknown as readonly Member[];
  const heard: LogPosition[] = [];
  const told: Unstamped[] = [];
  const offered: string[] = [];
  const rosters: Roster[] = [];
  const of = (self: typeof asker, net: Host['net'], more: object) => {
    const roster = new Roster({ self, publicKeyOf });
    roster.update(members);
    rosters.push(roster);
    return new StateExchange({
      net,
      roster,
      revocations: new Revocations({ revoked }),
      known: {
        positions: () => {
          const own = askerHasRead.map(position => ({ host: answerer, position }));
          const others = squattedByOther.map(position => ({ host: third, position }));
          if (self !== asker) return [];
          return othersFirst ? [...others, ...own] : [...own, ...others];
        },
        host: () => ({ connected: true }),
        outOfReach: () => [],
        startOf: (host: string) => (self === answerer && host === asker ? askerStartedBefore : undefined),
      },
      heartbeat: () => heartbeatOf(1),
      stores: {
        positions: () => (self === answerer ? answererHas : []),
        segment: () => undefined,
        hearOfOwnLog: async (theirs: LogPosition) => void heard.push(theirs),
      },
      onOwnFrame: (frame: FrameNumber) => frames.push(frame),
      catalog: {
        hints: () => [],
        heads: () => heads.map(headOf),
        voidHeadsOf: (origin: HostId) => (origin === asker ? voidHeads.map(source => headOf(source)) : []),
        offer: async (sealed: Uint8Array) => void offered.push(Buffer.from(sealed).toString()),
      },
      onOwnHead: async (source: SourceId) => void offered.push(source),
      tell: (input: Unstamped) => void (self === asker && told.push(input)),
      log: pino({ level: 'silent' }),
      signal: new AbortController().signal,
      ...more,
    } as unknown as StateExchangeOptions);
  };
  const index = openIndexDatabase(join(folder, 'answerer'));
  const own = apart ? openIndexDatabase(join(folder, 'asker')) : index;
  t.teardown(async () => {
    await index.close();
    if (own !== index) await own.close();
  });
  await of(answerer, b.net, { archive: index.logs }).serve();
  const exchange = of(asker, a.net, { archive: own.logs });
  await exchange.serve();
  return {
    a,
    b,
    ask: () => exchange.ask(answerer),
    heard,
    frames,
    recall: () => exchange.recall(),
    /** The answerer gossips a part of its log. */
    hears: (segment: LogSegment) => exchange.hear(answerer, { kind: 'log', segment }),
    /** … and a heartbeat of this start. */
    hearsHeartbeat: (boot: number) => exchange.hear(answerer, heartbeatOf(boot)),
    /** … is another member from now on. */
    become: (change: object) => {
      const changed = members.map(member => (member.host === answerer ? { ...member, ...change } : member));
      for (const roster of rosters) roster.update(changed);
    },
    told,
    /** Sources of which the asker got a head. */
    offered,
    archive: index.logs,
    ownArchive: own.logs,
    seeds: { asker: a.seed, answerer: b.seed },
  };
}

/** Two operations of a log of the asker's, signed with this key. */
function logOf(seed: Uint8Array, host = asker): LogSegment {
  const ops = ['01', '02'].map(byte => ({ op: 'add', parcel: parseParcelId(byte.repeat(32)) }) as const);
  const end = ops.reduce(logAfter, logStart(STORE, { counter: 7, random: '00'.repeat(8) }));
  return { host, end, ops, signature: signerFromSeed(seed).sign(positionMessage(host, end)) };
}

test('who asks is told how far its own logs are remembered', async t => {
  const { ask, heard, archive, seeds } = await aPair(t);
  t.true(await ask());
  t.deepEqual(heard, []);
  const segment = logOf(seeds.asker);
  await archive.append(segment);
  t.true(await ask());
  t.deepEqual(heard, [segment.end]);
});

for (const change of [{ state: 'provisional' }, { state: 'revoked' }, { trust: 'untrusted' }]) {
  test(`a log of a member that is ${Object.values(change)[0]} is neither taken, nor kept, nor recalled`, async t => {
    const { hears, told, ownArchive, recall, become, seeds } = await aPair(t, { apart: true });
    const segment = logOf(seeds.answerer, answerer);
    hears(segment);
    await until(() => ownArchive.position(answerer, STORE)?.seq === 2, 'the log to be kept');
    await recall();
    t.deepEqual(toldOf(told), ['log 0-2', 'log 0-2']);

    told.length = 0;
    become(change);
    hears(segmentOf(seeds.answerer, 0, 3));
    await recall();
    t.deepEqual(toldOf(told), []);
    t.is(ownArchive.position(answerer, STORE)?.seq, 2);
  });
}

for (const trust of ['trusted', 'untrusted'])
  test(`a host that is ${trust} is told who holds what, and gets the heads of ${trust === 'trusted' ? 'all sources' : 'its own sources alone'}`, async t => {
    const [own, others] = [sourceIdOf(asker, 'work'), sourceIdOf(answerer, 'photos')];
    const answererHas = [logOf(new Uint8Array(32), answerer).end];
    const { ask, told, offered, archive, seeds } = await aPair(t, {
      trust,
      apart: true,
      answererHas,
      heads: [own, others],
    });
    await archive.append(logOf(seeds.answerer, answerer));
    t.true(await ask());
    t.deepEqual(toldOf(told), ['log 0-2']);
    t.deepEqual(offered, trust === 'trusted' ? [own, others] : [own]);
  });

test('of one host so many logs are kept, and those in place of others that the machine has given up', async t => {
  const storeNumber = (n: number) => parseStoreId(n.toString(16).padStart(32, '0'));
  const read: LogPosition[] = [];
  const { hears, ownArchive, seeds } = await aPair(t, { apart: true, askerHasRead: read });
  const logNumber = (n: number): LogSegment => {
    const end = logStart(storeNumber(n), { counter: n, random: '00'.repeat(8) });
    return {
      host: answerer,
      end,
      ops: [],
      signature: signerFromSeed(seeds.answerer).sign(positionMessage(answerer, end)),
    };
  };
  for (let n = 1; n <= 64; n += 1) {
    read.push(logNumber(n).end);
    await ownArchive.append(logNumber(n));
  }
  hears(logNumber(65));
  read[0] = logNumber(66).end;
  hears(logNumber(66));
  await until(() => ownArchive.position(answerer, storeNumber(66)) !== undefined, 'the log to be kept');
  const kept = [...ownArchive.stores()].map(({ position }) => position.store);
  t.is(kept.length, 64);
  t.false(kept.includes(storeNumber(1)));
});

test('who is asked by a host that has read a later log of it asks back, and hears of it in its own words', async t => {
  const answererHas = [logStart(STORE, { counter: 6, random: '00'.repeat(8) })];
  const askerHasRead = [logStart(STORE, { counter: 7, random: '00'.repeat(8) })];
  const { ask, heard, archive, seeds } = await aPair(t, { askerHasRead, answererHas });
  const segment = logOf(seeds.answerer, answerer);
  await archive.append(segment);
  t.true(await ask());
  await until(() => heard.length > 0, 'the answer to the question back');
  t.deepEqual(heard, [segment.end]);
});

test('… and not one that has read as much as there is', async t => {
  const position = logStart(STORE, { counter: 7, random: '00'.repeat(8) });
  const { ask, heard, archive, seeds } = await aPair(t, { askerHasRead: [position], answererHas: [position] });
  await archive.append(logOf(seeds.answerer, answerer));
  t.true(await ask());
  t.true(await ask());
  t.deepEqual(heard, []);
});

test('a log of ours that we have not signed is none', async t => {
  const { ask, heard, archive, seeds } = await aPair(t);
  await archive.append(logOf(seeds.answerer));
  t.false(await ask());
  t.deepEqual(heard, []);
});

for (const answererTrust of ['trusted', 'untrusted'] as const) {
  test(`who asks is told the last frame that was heard of it; the word of one who is ${answererTrust} counts so`, async t => {
    const { a, b, ask, frames } = await aPair(t, { answererTrust });
    t.true(await ask());
    t.deepEqual(frames, []);
    await until(() => {
      void a.net.publish({ kind: 'config', version: 1, hash: '00'.repeat(32), admissions: [] });
      return b.net.lastFrame(a.net.peer) !== undefined;
    }, 'a frame to be heard');
    t.true(await ask());
    t.deepEqual(
      frames.map(({ boot, frame }) => [boot, frame >= 1 && frame <= a.net.framesSent]),
      answererTrust === 'trusted' ? [[1, true]] : [],
    );
  });
}

test('of a start that is known by a stream only, frame 0 is told', async t => {
  const { ask, frames } = await aPair(t, { askerStartedBefore: { boot: 5, bootId: 'ab'.repeat(8) } });
  t.true(await ask());
  t.deepEqual(frames, [{ boot: 5, frame: 0 }]);
});

test('who is asked learns the last frame that was heard of it, too', async t => {
  const { a, b, ask, frames } = await aPair(t);
  await until(() => {
    void b.net.publish({ kind: 'config', version: 1, hash: '00'.repeat(32), admissions: [] });
    return a.net.lastFrame(b.net.peer) !== undefined;
  }, 'a frame to be heard');
  t.true(await ask());
  t.deepEqual(
    frames.map(({ boot, frame }) => [boot, frame >= 1 && frame <= b.net.framesSent]),
    [[1, true]],
  );
});

test('a log that another host has under the same store’s id does not hide how far its own was read', async t => {
  const answererHas = [logOf(new Uint8Array(32), answerer).end];
  const squattedByOther = [logStart(STORE, { counter: 9, random: '00'.repeat(8) })];
  const { ask, told, heard, archive, seeds } = await aPair(t, {
    askerHasRead: answererHas,
    squattedByOther,
    answererHas,
  });
  await archive.append(logOf(seeds.answerer, answerer));
  t.true(await ask());
  t.true(await ask());
  t.deepEqual(toldOf(told), []);
  t.deepEqual(heard, [], 'nor is it a reason to ask back');
});

test('who has read more logs than an ask has room for asks all the same, and names those of the asked one', async t => {
  const answererHas = [logOf(new Uint8Array(32), answerer).end];
  const squattedByOther = Array.from({ length: STATE_VECTOR_MAX }, (_, n) =>
    logStart(parseStoreId(n.toString(16).padStart(32, '0')), { counter: 9, random: '00'.repeat(8) }),
  );
  const { ask, told, archive, seeds } = await aPair(t, {
    askerHasRead: answererHas,
    squattedByOther,
    othersFirst: true,
    answererHas,
  });
  await archive.append(logOf(seeds.answerer, answerer));
  t.true(await ask());
  t.deepEqual(toldOf(told), []);
});

test('the log of a writer that is there is told to who says that it cannot reach that one, and to nobody else', async t => {
  const { a, b, archive, seeds } = await aPair(t);
  const segment = logOf(seeds.answerer, third);
  await archive.append(segment);
  const { store, epoch } = segment.end;
  const told = async (outOfReach: readonly HostId[], seq: number): Promise<number> => {
    const request = { logs: [{ host: third, store, epoch, seq }], heads: [], outOfReach, yourFrame: undefined };
    let operations = 0;
    for await (const part of askState(a.net, b.net.peer, request))
      if (part.kind === 'segment') operations += part.segment.ops.length;
    return operations;
  };
  t.is(await told([], 0), 0);
  t.is(await told([third], 0), 2);
  t.is(await told([third], 1), 1);
  t.is(await told([third], 2), 0);
});

// ---- checkpoints

const EPOCH = { counter: 7, random: '00'.repeat(8) };
const parcels = (count: number): ParcelId[] =>
  Array.from({ length: count }, (_, n) => parseParcelId((n + 1).toString(16).padStart(64, '0')));
const adds = (count: number): LogOp[] => parcels(count).map(parcel => ({ op: 'add', parcel }));

/** Operations `from` + 1 to `to` of a log of the answerer's. */
function segmentOf(seed: Uint8Array, from: number, to: number, host = answerer): LogSegment {
  const end = logAfterAll(logStart(STORE, EPOCH), adds(to));
  return { host, end, ops: adds(to).slice(from), signature: signerFromSeed(seed).sign(positionMessage(host, end)) };
}

function piecesAt(seed: Uint8Array, seq: number, { host = answerer, holds = parcels(seq) } = {}): CheckpointPiece[] {
  const contents = [...contentsOf(holds, [])];
  const chain = new ContentsChain(logAfterAll(logStart(STORE, EPOCH), adds(seq)));
  chain.take(contents);
  const signature = signerFromSeed(seed).sign(checkpointMessage(host, chain.base));
  return [...piecesOf({ host, ...chain.base, signature }, contents)];
}

const toldOf = (told: readonly Unstamped[]): string[] =>
  told.flatMap(input => {
    if (input.is === 'log') return [`log ${input.segment.end.seq - input.segment.ops.length}-${input.segment.end.seq}`];
    if (input.is === 'checkpoint') return [`checkpoint ${input.piece.checkpoint.at.seq}: ${input.piece.ops.length}`];
    return input.is === 'log-forked' ? ['log-forked'] : [];
  });

async function keeps(archive: LogArchive, pieces: readonly CheckpointPiece[]): Promise<void> {
  for (const piece of pieces) await archive.takePiece(piece);
}

test('who is behind a checkpoint gets its contents and then what came after it, keeps them, and recalls them', async t => {
  const { ask, archive, ownArchive, told, recall, seeds } = await aPair(t, {
    apart: true,
    answererHas: [segmentOf(new Uint8Array(32), 0, 5_100).end],
  });
  await keeps(archive, piecesAt(seeds.answerer, 5_000));
  await archive.append(segmentOf(seeds.answerer, 5_000, 5_100));
  t.true(await ask());
  const all = ['checkpoint 5000: 4096', 'checkpoint 5000: 904', 'log 5000-5100'];
  t.deepEqual(toldOf(told), all);
  await until(() => ownArchive.position(answerer, STORE)?.seq === 5_100, 'the log to be kept');
  told.length = 0;
  await recall();
  t.deepEqual(toldOf(told), all);
});

test('who has read past a checkpoint is told that there is one, and lets go what came before', async t => {
  const all = segmentOf(new Uint8Array(32), 0, 60);
  const { ask, archive, ownArchive, told, seeds } = await aPair(t, {
    apart: true,
    askerHasRead: [all.end],
    answererHas: [all.end],
  });
  await keeps(archive, piecesAt(seeds.answerer, 50));
  await archive.append(segmentOf(seeds.answerer, 50, 60));
  await ownArchive.append(segmentOf(seeds.answerer, 0, 60));
  t.true(await ask());
  t.deepEqual(toldOf(told), ['checkpoint 50: 0']);
  await until(() => ownArchive.checkpoint(answerer, STORE)?.at.seq === 50, 'the archive to stand on it');
  t.deepEqual(ownArchive.segment(answerer, STORE, 50, 100)?.ops, adds(60).slice(50));
});

test('a checkpoint that what was read does not make is a fork: the log counts for nothing, and is not kept', async t => {
  const all = segmentOf(new Uint8Array(32), 0, 60);
  const { ask, archive, ownArchive, told, seeds } = await aPair(t, {
    apart: true,
    askerHasRead: [all.end],
    answererHas: [all.end],
  });
  await keeps(archive, piecesAt(seeds.answerer, 50, { holds: parcels(49) }));
  await ownArchive.append(segmentOf(seeds.answerer, 0, 60));
  t.true(await ask());
  await until(() => ownArchive.position(answerer, STORE) === undefined, 'the log to be dropped');
  t.deepEqual(toldOf(told), ['checkpoint 50: 0', 'log-forked']);
});

test('a checkpoint with another signature than its writer’s ends the reading', async t => {
  const { ask, archive, ownArchive, told, seeds } = await aPair(t, {
    apart: true,
    answererHas: [segmentOf(new Uint8Array(32), 0, 50).end],
  });
  await keeps(archive, piecesAt(seeds.asker, 50));
  t.false(await ask());
  t.deepEqual(toldOf(told), []);
  t.is(ownArchive.checkpoint(answerer, STORE), undefined);
});

test('what a host tells of its own log and has not signed is an offence, once an answer; what it keeps of others is none', async t => {
  const { a, b, ask, hears, archive, seeds } = await aPair(t, {
    apart: true,
    answererHas: [segmentOf(new Uint8Array(32), 0, 50).end],
  });
  const offences: string[] = [];
  a.net.onOffence((peer, { code }) => offences.push(`${peer} ${code}`));
  // As the answerer remembers it, the asker's own log.
  await archive.append(logOf(seeds.answerer));
  t.false(await ask());
  t.deepEqual(offences, []);
  await archive.drop(asker, STORE);
  await keeps(archive, piecesAt(seeds.asker, 50));
  t.false(await ask());
  hears(logOf(seeds.asker, answerer));
  t.deepEqual(offences, Array(2).fill(`${b.net.peer} WRONGLY_SIGNED`));
});

const before = generateKeyPair();
/** The machine that was this host before; none of its heads stay valid. */
const wasBefore = (host: HostId): Revocation => ({ host, peer: peerNameOf(before.publicKey), heads: [] });

test('of what the machine before it has signed in a log of a host nothing is used, and who keeps it is asked all the same', async t => {
  const { ask, told, hears, archive, seeds, ownArchive } = await aPair(t, {
    apart: true,
    answererHas: [segmentOf(new Uint8Array(32), 0, 50).end],
    revoked: [wasBefore(answerer)],
  });
  await archive.append(logOf(before.seed, answerer));
  t.true(await ask());
  hears(logOf(before.seed, answerer));
  t.deepEqual([toldOf(told), ownArchive.position(answerer, STORE)], [[], undefined]);
  await archive.drop(answerer, STORE);
  await keeps(archive, piecesAt(before.seed, 50));
  t.true(await ask());
  t.deepEqual(toldOf(told), []);
  hears(logOf(seeds.answerer, answerer));
  t.deepEqual(toldOf(told), ['log 0-2']);
});

test('a host compares its log with what is remembered of the machine before it, and is told of its heads that are valid no more', async t => {
  const source = sourceIdOf(asker, 'work');
  const { ask, heard, offered, archive } = await aPair(t, {
    apart: true,
    revoked: [wasBefore(asker)],
    voidHeads: [source],
  });
  const segment = logOf(before.seed);
  await archive.append(segment);
  t.true(await ask());
  t.deepEqual([heard, offered], [[segment.end], [source]]);
});

test('what a machine says of itself before it has started as the host that it becomes is not that host’s word', async t => {
  const { hearsHeartbeat, told } = await aPair(t, { revoked: [wasBefore(answerer)] });
  hearsHeartbeat(formerBootMax(1));
  t.deepEqual(told, []);
  hearsHeartbeat(formerBootMax(1) + 1);
  t.is(told.length, 1);
  const first = await aPair(t);
  first.hearsHeartbeat(1);
  t.is(first.told.length, 1);
});

test('who asks is told how far its own log is remembered, also where that is a checkpoint', async t => {
  const { ask, heard, archive, seeds } = await aPair(t, { apart: true });
  const pieces = piecesAt(seeds.asker, 50, { host: asker });
  await keeps(archive, pieces);
  t.true(await ask());
  t.deepEqual(heard, [pieces[0]?.checkpoint.at]);
});
