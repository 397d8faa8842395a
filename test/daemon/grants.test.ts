import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { DEFAULT_TIMING, type Member } from '../../src/core/cluster-config.js';
import type { GrantAnswer } from '../../src/core/grant.js';
import {
  type HostId,
  type Nonce,
  parseHostId,
  parseNonce,
  parseParcelId,
  parsePossession,
} from '../../src/core/ids.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { GrantAsker } from '../../src/daemon/grant-asker.js';
import { GrantServer } from '../../src/daemon/grant-server.js';
import { Roster } from '../../src/daemon/roster.js';
import { publicKeyOf } from '../../src/membership/peer-key.js';
import { serveGrants } from '../../src/net/drop-protocol.js';
import { signerFromSeed } from '../../src/platform/ed25519.js';
import { type Host, House, until } from '../net/fleet.js';

const [DROPPER, HOLDER, STRANGER] = ['1', '2', '3'].map(digit => parseHostId(digit.repeat(32))) as [
  HostId,
  HostId,
  HostId,
];
const POSSESSION = parsePossession('5a'.repeat(32));
const parcel = parseParcelId('cd'.repeat(32));
const log = pino({ level: 'silent' });
const nonceOf = (i: number): Nonce => parseNonce(i.toString(16).padStart(32, '0'));
const CONFIG = { version: 4, hash: 'c'.repeat(64) };
const GRANT: GrantAnswer = { answer: 'grant', possession: POSSESSION, configVersion: 4 };
const BUSY: GrantAnswer = { answer: 'deny', because: 'busy', configVersion: 4 };

const PLAIN = { state: 'active', trust: 'trusted', roaming: false } as const;

interface Options {
  readonly attemptMs?: number;
}

/** A host that drops and one that holds, and what the machine of each is told. */
async function pair(t: ExecutionContext, { attemptMs = 60_000 }: Options = {}) {
  const [dropper, holder] = (await new House(t).clique(2)) as [Host, Host];
  const members = [
    { host: DROPPER, peer: dropper.net.peer },
    { host: HOLDER, peer: holder.net.peer },
  ].map((member): Member => ({ ...member, name: member.host, domain: member.host, ...PLAIN }));
  const rosterOf = (self: HostId): Roster => {
    const roster = new Roster({ self, publicKeyOf });
    roster.update(members);
    return roster;
  };
  const toDropper: Unstamped[] = [];
  const toHolder: Extract<Unstamped, { is: 'grant-asked' }>[] = [];
  const asker = new GrantAsker({
    net: dropper.net,
    roster: rosterOf(DROPPER),
    clock: { nowMs: () => performance.now(), wallMs: () => 0 },
    timing: () => ({ ...DEFAULT_TIMING, attemptMs }),
    bytesOf: () => undefined,
    tell: input => toDropper.push(input),
    log,
  });
  t.teardown(() => asker.stop());
  let onAsked: (asked: (typeof toHolder)[number]) => void = () => undefined;
  const server = new GrantServer({
    net: holder.net,
    roster: rosterOf(HOLDER),
    signer: signerFromSeed(holder.seed),
    boot: 3,
    tell: input => {
      if (input.is !== 'grant-asked') throw new Error(`not told of by a grant server: ${input.is}`);
      toHolder.push(input);
      onAsked(input);
    },
  });
  const ask = (attempt: number, holders: readonly HostId[] = [HOLDER]): void =>
    asker.ask({ do: 'ask-grants', attempt: nonceOf(attempt), parcel, holders, config: CONFIG });
  const answer = ({ ask: number, nonce }: (typeof toHolder)[number], given: GrantAnswer): void =>
    server.answer({ do: 'answer-grant', ask: number, to: DROPPER, nonce, parcel, answer: given });
  const whenAsked = (listener: typeof onAsked): void => {
    onAsked = listener;
  };
  return { dropper, holder, asker, server, toDropper, toHolder, ask, answer, whenAsked };
}

const answered = (attempt: number, answer: GrantAnswer | undefined, from: HostId = HOLDER): Unstamped => ({
  is: 'grant-answered',
  attempt: nonceOf(attempt),
  from,
  answer,
});

test('a question reaches the holder’s machine, and its answer the dropper’s, at once or after a read', async t => {
  const { server, toDropper, toHolder, ask, answer, whenAsked } = await pair(t);
  await server.serve();
  // The first is denied in the very turn in which it is asked.
  whenAsked(asked => {
    if (asked.nonce === nonceOf(1)) answer(asked, BUSY);
  });
  ask(1);
  ask(2);
  await until(() => toDropper.length === 1 && toHolder.length === 2, 'the denial');
  t.deepEqual(toDropper, [answered(1, BUSY)]);
  const [, second] = toHolder as [never, (typeof toHolder)[number]];
  t.deepEqual(second, {
    is: 'grant-asked',
    ask: second.ask,
    from: DROPPER,
    nonce: nonceOf(2),
    parcel,
    config: CONFIG,
  });
  t.false(server.signalOf(second.ask)?.aborted);
  answer(second, GRANT);
  t.is(server.signalOf(second.ask), undefined);
  await until(() => toDropper.length === 2, 'the grant');
  t.deepEqual(toDropper[1], answered(2, GRANT));
});

test('what is asked of a holder in one turn goes in messages of 64', async t => {
  const { holder, toDropper, ask } = await pair(t);
  const messages: number[] = [];
  await serveGrants(holder.net, async function* (asks) {
    messages.push(asks.length);
    for (const { nonce } of asks) yield { nonce, parcel, answer: BUSY };
  });
  for (let i = 0; i < 130; i += 1) ask(i);
  await until(() => toDropper.length === 130, 'all answers');
  t.deepEqual(
    messages.sort((a, b) => b - a),
    [64, 64, 2],
  );
  t.is(new Set(toDropper.map(input => input.is === 'grant-answered' && input.attempt)).size, 130);
});

test('six messages to one holder are under way at once; what waits for a seventh goes when one is answered', async t => {
  const { holder, toDropper, ask } = await pair(t);
  const ends: (() => void)[] = [];
  const messages: number[] = [];
  await serveGrants(holder.net, async function* (asks) {
    messages.push(asks.length);
    await new Promise<void>(resolve => ends.push(resolve));
    for (const { nonce } of asks) yield { nonce, parcel, answer: BUSY };
  });
  for (let i = 0; i < 6 * 64 + 5; i += 1) ask(i);
  await until(() => messages.length === 6, 'six messages');
  ends.shift()?.();
  await until(() => messages.length === 7, 'the seventh');
  t.is(messages.at(-1), 5);
  for (const end of ends) end();
  await until(() => toDropper.length === 6 * 64 + 5, 'all answers');
});

test('a holder that is no member, out of reach, or breaks off gives no answer, once', async t => {
  const { holder, asker, toDropper, ask } = await pair(t);
  ask(1, [STRANGER]);
  await until(() => toDropper.length === 1, 'the stranger');
  t.deepEqual(toDropper, [answered(1, undefined, STRANGER)]);

  await serveGrants(holder.net, async function* ([first]) {
    if (first !== undefined) yield { nonce: first.nonce, parcel, answer: BUSY };
    throw new Error('disk trouble');
  });
  ask(2);
  ask(3);
  await until(() => toDropper.length === 3, 'the half answer');
  t.deepEqual(toDropper.slice(1), [answered(2, BUSY), answered(3, undefined)]);

  await holder.net.stop();
  ask(4);
  await until(() => toDropper.length === 4, 'the failure');
  t.deepEqual(toDropper[3], answered(4, undefined));
  await asker.stop();
  t.is(toDropper.length, 4);
});

test('a holder that says nothing is waited for until the attempt is over, and hears of it', async t => {
  const { server, toDropper, toHolder, ask, answer } = await pair(t, { attemptMs: 3_000 });
  await server.serve();
  ask(1);
  await until(() => toDropper.length === 1, 'the end of the attempt');
  t.deepEqual(toDropper, [answered(1, undefined)]);
  const [asked] = toHolder as [(typeof toHolder)[number]];
  await until(() => server.signalOf(asked.ask) === undefined, 'the holder to hear of it');
  t.notThrows(() => answer(asked, GRANT), 'an answer to nobody');
});

test('a holder is asked no longer for attempts that are over, and hears of it when none is left', async t => {
  const { server, asker, toDropper, toHolder, ask, answer } = await pair(t);
  await server.serve();
  ask(1);
  // Not sent yet.
  asker.cancel(nonceOf(1));
  for (const attempt of [2, 3, 4]) ask(attempt);
  await until(() => toHolder.length === 3, 'the questions');
  t.deepEqual(toDropper, [answered(1, undefined)]);
  asker.cancel(nonceOf(2));
  asker.cancel(nonceOf(2));
  t.deepEqual(toDropper.slice(1), [answered(2, undefined)]);
  const [second, third, fourth] = toHolder as [(typeof toHolder)[0], (typeof toHolder)[0], (typeof toHolder)[0]];
  answer(third, GRANT);
  await until(() => toDropper.length === 3, 'the grant');
  t.false(server.signalOf(fourth.ask)?.aborted, 'one is still waited for');
  // The last that is waited for is answered: nobody waits for the second.
  answer(fourth, BUSY);
  await until(() => server.signalOf(second.ask) === undefined, 'the holder to hear of it');
  t.deepEqual(toDropper.slice(2), [answered(3, GRANT), answered(4, BUSY)]);

  ask(5);
  await until(() => toHolder.length === 4, 'another question');
  asker.cancel(nonceOf(5));
  const [, , , fifth] = toHolder;
  await until(() => server.signalOf(fifth?.ask ?? 0) === undefined, 'the holder to hear of that too');
  await asker.stop();
  t.deepEqual(toDropper.slice(4), [answered(5, undefined)]);
});

test('when the service stops every question is answered, with nothing', async t => {
  const { server, asker, toDropper, toHolder, ask } = await pair(t);
  await server.serve();
  ask(1);
  await until(() => toHolder.length === 1, 'the question');
  ask(2);
  await asker.stop();
  ask(3);
  t.deepEqual(
    toDropper.map(input => input.is === 'grant-answered' && [input.attempt, input.answer]).sort(),
    [1, 2, 3].map(i => [nonceOf(i), undefined]),
  );
});
