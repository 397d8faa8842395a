import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { Member } from '../../src/core/cluster-config.js';
import { type LogPosition, type LogSegment, logAfter, logStart, positionMessage } from '../../src/core/holdings-log.js';
import { parseHostId, parseParcelId, parseStoreId } from '../../src/core/ids.js';
import { Roster } from '../../src/daemon/roster.js';
import { StateExchange, type StateExchangeOptions } from '../../src/daemon/state-exchange.js';
import { publicKeyOf } from '../../src/membership/peer-key.js';
import type { LastFrame } from '../../src/net/frame-order.js';
import { signerFromSeed } from '../../src/platform/ed25519.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import { type Host, House, until } from '../net/fleet.js';

const [asker, answerer] = [parseHostId('a1'.repeat(16)), parseHostId('b2'.repeat(16))];
const STORE = parseStoreId('5a'.repeat(16));

/** Two members, of which one may be asked; its log archive is empty, and the asker has no store mounted. */
async function aPair(
  t: ExecutionContext,
  {
    trust = 'trusted',
    answererTrust = 'trusted',
    askerHasRead = [],
    answererHas = [],
  }: {
    trust?: string;
    answererTrust?: string;
    askerHasRead?: readonly LogPosition[];
    answererHas?: readonly LogPosition[];
  } = {},
) {
  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  const frames: LastFrame[] = [];
  const folder = await mkdtemp(join(tmpdir(), 'state-exchange-'));
  const members = [
    { host: asker, peer: a.net.peer, name: 'a', state: 'active', trust },
    { host: answerer, peer: b.net.peer, name: 'b', state: 'active', trust: answererTrust },
  ] as unknown as readonly Member[];
  const heard: LogPosition[] = [];
  const of = (self: typeof asker, net: Host['net'], more: object) => {
    const roster = new Roster({ self, publicKeyOf });
    roster.update(members);
    return new StateExchange({
      net,
      roster,
      machine: {
        positions: () => (self === asker ? askerHasRead : []).map(position => ({ host: answerer, position })),
        host: () => ({ connected: true }),
        heartbeat: () => ({
          kind: 'heartbeat',
          boot: 1,
          bootId: '00'.repeat(8),
          stores: [],
          configVersion: 1,
          headsDigest: '00'.repeat(32),
          paceBytesPerS: 0,
        }),
      },
      stores: {
        positions: () => (self === answerer ? answererHas : []),
        segment: () => undefined,
        hearOfOwnLog: async (theirs: LogPosition) => void heard.push(theirs),
      },
      onOwnFrame: (frame: LastFrame) => frames.push(frame),
      catalog: { hints: () => [], heads: () => [] },
      tell: () => undefined,
      log: pino({ level: 'silent' }),
      signal: new AbortController().signal,
      ...more,
    } as unknown as StateExchangeOptions);
  };
  const index = openIndexDatabase(folder);
  t.teardown(async () => {
    await index.close();
    await rm(folder, { recursive: true });
  });
  await of(answerer, b.net, { archive: index.logs }).serve();
  const exchange = of(asker, a.net, { archive: index.logs });
  await exchange.serve();
  return {
    a,
    b,
    ask: () => exchange.ask(answerer),
    heard,
    frames,
    archive: index.logs,
    seeds: { asker: a.seed, answerer: b.seed },
  };
}

/** Two operations of a log of the asker's, signed with this key. */
function logOf(seed: Uint8Array, host = asker): LogSegment {
  const ops = ['01', '02'].map(byte => ({ op: 'add', parcel: parseParcelId(byte.repeat(32)) }) as const);
  const end = ops.reduce(logAfter, logStart(STORE, { counter: 7, random: '00'.repeat(8) }));
  return { host, end, ops, signature: signerFromSeed(seed).sign(positionMessage(host, end)) };
}

for (const trust of ['trusted', 'untrusted'] as const) {
  test(`who asks is told how far its own logs are remembered, also when ${trust}`, async t => {
    const { ask, heard, archive, seeds } = await aPair(t, { trust });
    t.true(await ask());
    t.deepEqual(heard, []);
    const segment = logOf(seeds.asker);
    await archive.append(segment);
    t.true(await ask());
    t.deepEqual(heard, [segment.end]);
  });
}

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
