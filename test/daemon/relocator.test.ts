import test, { type ExecutionContext } from 'ava';
import { encode } from 'it-length-prefixed';
import { pino } from 'pino';
import type { Member } from '../../src/core/cluster-config.js';
import { type HostId, parseHostId, parseParcelId } from '../../src/core/ids.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Relocator } from '../../src/daemon/relocator.js';
import { Roster } from '../../src/daemon/roster.js';
import { publicKeyOf } from '../../src/membership/peer-key.js';
import { offerRelocation, RELOCATE_PROTOCOL } from '../../src/net/relocate-protocol.js';
import { type Host, House, until } from '../net/fleet.js';

const [GIVER, TAKER, STRANGER] = ['1', '2', '3'].map(digit => parseHostId(digit.repeat(32))) as [
  HostId,
  HostId,
  HostId,
];
const parcels = ['ab', 'cd'].map(byte => parseParcelId(byte.repeat(32)));
const log = pino({ level: 'silent' });
const PLAIN = { state: 'active', trust: 'trusted', roaming: false } as const;

type Offered = Extract<Unstamped, { is: 'relocation-offered' }>;

/** A host that is too full and one that has room, and what the machine of each is told. */
async function pair(t: ExecutionContext, { answerMs = 60_000 } = {}) {
  const [full, roomy] = (await new House(t).clique(2)) as [Host, Host];
  const members = [
    { host: GIVER, peer: full.net.peer },
    { host: TAKER, peer: roomy.net.peer },
  ].map((member): Member => ({ ...member, name: member.host, domain: member.host, ...PLAIN }));
  const rosterOf = (self: HostId): Roster => {
    const roster = new Roster({ self, publicKeyOf });
    roster.update(members);
    return roster;
  };
  const toGiver: Unstamped[] = [];
  const toTaker: Offered[] = [];
  const tellGiver = (input: Unstamped): void => void toGiver.push(input);
  const giver = new Relocator({ net: full.net, roster: rosterOf(GIVER), tell: tellGiver, log, answerMs });
  t.teardown(() => giver.stop());
  let onOffered: (offered: Offered) => void = () => undefined;
  const takerRoster = rosterOf(TAKER);
  const taker = new Relocator({
    net: roomy.net,
    roster: takerRoster,
    tell: input => {
      if (input.is !== 'relocation-offered') throw new Error(`not told of by a host that only takes: ${input.is}`);
      toTaker.push(input);
      onOffered(input);
    },
    log,
  });
  const offer = (number: number, to: HostId = TAKER): void =>
    giver.offer({ do: 'offer-relocation', offer: number, to, needed: parseParcelId('ef'.repeat(32)), parcels });
  const answer = ({ ask }: Offered, accepted: boolean): void =>
    taker.answer({ do: 'answer-relocation', ask, to: GIVER, accepted });
  const whenOffered = (listener: typeof onOffered): void => {
    onOffered = listener;
  };
  return { full, roomy, giver, taker, takerRoster, toGiver, toTaker, offer, answer, whenOffered };
}

const answered = (offer: number, accepted: boolean): Unstamped => ({ is: 'relocation-answered', offer, accepted });

test('an offer reaches the taker’s machine, and its answer the giver’s, at once or later', async t => {
  const { taker, toGiver, toTaker, offer, answer, whenOffered } = await pair(t);
  await taker.serve();
  whenOffered(offered => answer(offered, true));
  offer(7);
  await until(() => toGiver.length === 1, 'the acceptance');
  t.deepEqual(toGiver, [answered(7, true)]);
  const [first] = toTaker as [Offered];
  t.deepEqual(first, { is: 'relocation-offered', ask: first.ask, from: GIVER, parcels });

  whenOffered(() => undefined);
  offer(8);
  await until(() => toTaker.length === 2, 'the second offer');
  const [, second] = toTaker as [never, Offered];
  t.not(second.ask, first.ask);
  answer(second, false);
  await until(() => toGiver.length === 2, 'the refusal');
  t.deepEqual(toGiver[1], answered(8, false));
  t.notThrows(() => answer(second, true), 'answered already');
});

test('a host that is no member, out of reach, or breaks off has not accepted, once', async t => {
  const { roomy, taker, takerRoster, giver, toGiver, toTaker, offer } = await pair(t);
  offer(1, STRANGER);
  await until(() => toGiver.length === 1, 'the stranger');
  // It serves no such protocol.
  offer(2);
  await until(() => toGiver.length === 2, 'the older build');
  await taker.serve();
  takerRoster.update([]);
  offer(3);
  await until(() => toGiver.length === 3, 'the one that knows us no more');
  t.deepEqual(toTaker, []);
  await roomy.net.stop();
  offer(4);
  await until(() => toGiver.length === 4, 'the one that is off');
  t.deepEqual(
    toGiver,
    [1, 2, 3, 4].map(number => answered(number, false)),
  );
  await giver.stop();
  t.is(toGiver.length, 4);
});

test('what is no answer counts as none', async t => {
  const { roomy, toGiver, offer } = await pair(t);
  await roomy.net.handle(RELOCATE_PROTOCOL, async stream => {
    stream.send(encode.single(Uint8Array.of(0x0a, 0x7f)));
  });
  offer(1);
  await until(() => toGiver.length === 1, 'the end of the offer');
  t.deepEqual(toGiver, [answered(1, false)]);
});

test('a host that says nothing is not waited for without end, and what it says later goes to nobody', async t => {
  const { taker, toGiver, toTaker, offer, answer } = await pair(t, { answerMs: 3_000 });
  await taker.serve();
  offer(1);
  await until(() => toGiver.length === 1, 'the end of the wait');
  t.deepEqual(toGiver, [answered(1, false)]);
  t.notThrows(() => answer((toTaker as [Offered])[0], true));
  t.is(toGiver.length, 1);
});

test('an answer goes to the host that offered, and to no other', async t => {
  const { full, roomy, taker, toTaker } = await pair(t);
  await taker.serve();
  const patience = new AbortController();
  const left = t.throwsAsync(offerRelocation(full.net, roomy.net.peer, parcels, patience.signal), { message: 'left' });
  await until(() => toTaker.length === 1, 'the offer');
  const [{ ask }] = toTaker as [Offered];
  t.throws(() => taker.answer({ do: 'answer-relocation', ask, to: STRANGER, accepted: true }), { message: /^bug:/ });
  patience.abort(new Error('left'));
  await left;
});

test('when the service stops every offer is answered, with no', async t => {
  const { taker, giver, toGiver, toTaker, offer } = await pair(t);
  await taker.serve();
  offer(1);
  await until(() => toTaker.length === 1, 'the offer');
  offer(2);
  const stopping = giver.stop();
  offer(3);
  await stopping;
  await until(() => toGiver.length === 3, 'the end of each');
  t.deepEqual(
    toGiver.map(input => input.is === 'relocation-answered' && [input.offer, input.accepted]).sort(),
    [1, 2, 3].map(number => [number, false]),
  );
});
