import test, { type ExecutionContext } from 'ava';
import { encode } from 'it-length-prefixed';
import { Answer, Asks } from '../../protocols/drop/drop.js';
import type { DenyReason } from '../../src/core/grant.js';
import {
  bytesOf,
  type Nonce,
  type ParcelId,
  parseHostId,
  parseNonce,
  parseParcelId,
  parsePossession,
} from '../../src/core/ids.js';
import {
  ASKS_PER_MESSAGE_MAX,
  askGrants,
  DROP_PROTOCOL,
  type GivenAnswer,
  type GrantWords,
  type ParcelAsk,
  serveGrants,
  signGrant,
  type TakenAnswer,
} from '../../src/net/drop-protocol.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { type Host, House, until } from './fleet.js';

const HOLDER = parseHostId('a1'.repeat(16));
const DROPPER = parseHostId('b2'.repeat(16));
const POSSESSION = parsePossession('5a'.repeat(32));
const nonceOf = (i: number): Nonce => parseNonce(i.toString(16).padStart(32, '0'));
const parcelOf = (i: number): ParcelId => parseParcelId(i.toString(16).padStart(64, '0'));
const CONFIG = { version: 7, hash: 'c7'.repeat(32) };
const askOf = (i: number): ParcelAsk => ({ nonce: nonceOf(i), parcel: parcelOf(i), config: CONFIG });
const asksOf = (count: number): ParcelAsk[] => Array.from({ length: count }, (_, i) => askOf(i));
const GRANT = { answer: 'grant', possession: POSSESSION, configVersion: 7 } as const;
const DENY = (because: DenyReason) => ({ answer: 'deny', because, configVersion: 8 }) as const;

/** The net of a host that drops, and that of a holder, with what the holder says and what the dropper counts against it. */
async function pair(t: ExecutionContext) {
  const [dropper, holder] = (await new House(t).clique(2)) as [Host, Host];
  const signer = signerFromSeed(holder.seed);
  const offences: string[] = [];
  dropper.net.onOffence((_peer, error) => offences.push(error.code));
  const ask = (asks: readonly ParcelAsk[], signal = new AbortController().signal) =>
    askGrants(dropper.net, holder.net.peer, asks, {
      holder: HOLDER,
      holderKey: signer.publicKey,
      dropper: DROPPER,
      signal,
    });
  /** A grant by the holder for `askOf(0)`, unless told otherwise. */
  const grant = (words: Partial<GrantWords> = {}, by = signer) => {
    const said = { ...askOf(0), holder: HOLDER, dropper: DROPPER, boot: 3, answer: GRANT, ...words };
    const { nonce, parcel, answer, boot } = said;
    return { nonce, parcel, answer, boot, signature: signGrant(by, said) };
  };
  return { dropper: dropper.net, holder: holder.net, ask, grant, offences };
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of source) list.push(item);
  return list;
}

const denied = ({ nonce, parcel }: ParcelAsk, because: DenyReason) => ({ nonce, parcel, answer: DENY(because) });

test('each ask is answered as soon as its answer is there, whatever its place', async t => {
  const { holder, dropper, ask, grant } = await pair(t);
  let asked: unknown;
  let read: () => void = () => undefined;
  const isRead = new Promise<void>(resolve => {
    read = resolve;
  });
  await serveGrants(holder, async function* (asks, from) {
    asked = { asks, from };
    yield denied(askOf(1), 'dropping');
    await isRead;
    yield grant();
  });
  const answers: TakenAnswer[] = [];
  for await (const answer of ask(asksOf(2))) {
    answers.push(answer);
    // The second is not made before the first has come.
    read();
  }
  t.deepEqual(asked, { asks: asksOf(2), from: dropper.peer });
  t.deepEqual(answers, [denied(askOf(1), 'dropping'), { nonce: nonceOf(0), parcel: parcelOf(0), answer: GRANT }]);
});

test('every reason crosses the wire, and one of a later version means: ask again', async t => {
  const { holder, ask } = await pair(t);
  const reasons: readonly DenyReason[] = [
    'busy',
    'absent',
    'dropping',
    'corrupt',
    'unwanted',
    'draining',
    'config-newer',
    'config-older',
    'config-differs',
  ];
  await serveGrants(holder, async function* (asks) {
    for (const [i, reason] of reasons.entries()) yield denied(asks[i] as ParcelAsk, reason);
  });
  const answers = await all(ask(asksOf(reasons.length)));
  t.deepEqual(
    answers.map(({ answer }) => answer),
    reasons.map(DENY),
  );

  const other = await pair(t);
  await other.holder.handle(DROP_PROTOCOL, async stream => {
    const deny = { because: reasons.length, configVersion: 8 };
    stream.send(encode.single(Answer.encode({ nonce: bytesOf(nonceOf(0)), parcel: bytesOf(parcelOf(0)), deny })));
  });
  t.deepEqual(await all(other.ask([askOf(0)])), [denied(askOf(0), 'busy')]);
  t.deepEqual(other.offences, []);
});

test('64 asks are a message and 65 are not, on either side', async t => {
  const { dropper, holder, ask } = await pair(t);
  const offences: string[] = [];
  holder.onOffence((peer, error) => offences.push(`${peer} ${error.code}`));
  await serveGrants(holder, async function* (asks) {
    for (const one of asks) yield denied(one, 'absent');
  });
  t.is((await all(ask(asksOf(ASKS_PER_MESSAGE_MAX)))).length, ASKS_PER_MESSAGE_MAX);
  t.throws(() => ask(asksOf(ASKS_PER_MESSAGE_MAX + 1)), { message: /^bug:/ });
  t.throws(() => ask([askOf(1), askOf(1)]), { message: /^bug:/ });
  t.throws(() => ask([]), { message: /^bug:/ });

  const wire = ({ nonce, parcel, config }: ParcelAsk) => ({
    nonce: bytesOf(nonce),
    parcel: bytesOf(parcel),
    configVersion: config.version,
    configHash: bytesOf(config.hash),
  });
  for (const asks of [
    asksOf(ASKS_PER_MESSAGE_MAX + 1).map(wire),
    [],
    [askOf(1), { ...askOf(2), nonce: nonceOf(1) }].map(wire),
    [{ ...wire(askOf(1)), nonce: new Uint8Array(15) }],
    [{ ...wire(askOf(1)), parcel: new Uint8Array(33) }],
    [{ ...wire(askOf(1)), configHash: new Uint8Array(31) }],
    [{ ...wire(askOf(1)), configHash: new Uint8Array(33) }],
  ]) {
    const before = offences.length;
    const stream = await dropper.open(holder.peer, DROP_PROTOCOL);
    stream.send(encode.single(Asks.encode({ asks })));
    await until(() => offences.length > before, 'the offence');
  }
  t.deepEqual(offences, Array(7).fill(`${dropper.peer} MALFORMED_MESSAGE`));
});

test('an ask of a build that names no hash of its configuration is no offence, and names none', async t => {
  const { dropper, holder, offences } = await pair(t);
  const asked: ParcelAsk[] = [];
  holder.onOffence((_peer, error) => offences.push(error.code));
  await serveGrants(holder, async function* (asks) {
    asked.push(...asks);
    for (const one of asks) yield denied(one, 'config-differs');
  });
  const stream = await dropper.open(holder.peer, DROP_PROTOCOL);
  const { nonce, parcel } = askOf(1);
  const asks = [{ nonce: bytesOf(nonce), parcel: bytesOf(parcel), configVersion: 7, configHash: new Uint8Array() }];
  stream.send(encode.single(Asks.encode({ asks })));
  await until(() => asked.length > 0, 'the ask');
  t.deepEqual(asked, [{ ...askOf(1), config: { version: 7, hash: '' } }]);
  t.deepEqual(offences, []);
});

type Signed = ReturnType<Awaited<ReturnType<typeof pair>>['grant']>;
const toWire = ({ nonce, parcel, answer, boot, signature }: Signed) => ({
  nonce: bytesOf(nonce),
  parcel: bytesOf(parcel),
  grant: { possession: bytesOf(answer.possession), configVersion: answer.configVersion, boot, signature },
});

/** A holder that answers every message with these, whatever they are. @returns how each ask ended. */
async function endings(t: ExecutionContext, make: (grant: (words?: Partial<GrantWords>) => Answer) => Cases) {
  const { holder, ask, grant, offences } = await pair(t);
  let sent: readonly Answer[] = [];
  await holder.handle(DROP_PROTOCOL, async stream => {
    for (const answer of sent) stream.send(encode.single(Answer.encode(answer)));
  });
  const ended: string[] = [];
  for (const [name, answers] of make(words => toWire(grant(words)))) {
    sent = answers;
    let came = 0;
    const error = await t.throwsAsync(async () => {
      for await (const _ of ask([askOf(0)])) came += 1;
    });
    ended.push(`${name}: ${came}, ${(error as { code?: string } | undefined)?.code}`);
  }
  return { ended, offences };
}

type Cases = readonly (readonly [string, readonly Answer[]])[];

test('what no honest holder answers counts against it, and what came before is good', async t => {
  const { ended, offences } = await endings(t, grant => {
    const good = grant();
    const { nonce, parcel } = good;
    const granted = good.grant as NonNullable<Answer['grant']>;
    return [
      ['another nonce', [grant({ nonce: nonceOf(9) })]],
      ['another parcel', [grant({ parcel: parcelOf(9) })]],
      ['twice', [good, good]],
      ['granted, then denied', [good, { nonce, parcel, deny: { because: 1, configVersion: 7 } }]],
      ['neither', [{ nonce, parcel }]],
      ['a possession of 31 bytes', [{ ...good, grant: { ...granted, possession: new Uint8Array(31) } }]],
      ['too large', [{ ...good, grant: { ...granted, signature: new Uint8Array(512) } }]],
    ];
  });
  t.deepEqual(ended, [
    'another nonce: 0, MALFORMED_MESSAGE',
    'another parcel: 0, MALFORMED_MESSAGE',
    'twice: 1, MALFORMED_MESSAGE',
    'granted, then denied: 1, MALFORMED_MESSAGE',
    'neither: 0, MALFORMED_MESSAGE',
    'a possession of 31 bytes: 0, MALFORMED_MESSAGE',
    'too large: 0, MALFORMED_MESSAGE',
  ]);
  t.deepEqual(offences, Array(ended.length).fill('MALFORMED_MESSAGE'));
});

test('a grant that its holder has not signed, word for word and for us, never comes out', async t => {
  const stranger = signerFromSeed(generateKeyPair().seed);
  const { ended, offences } = await endings(t, grant => {
    const good = grant();
    const { nonce, parcel } = good;
    const granted = good.grant as NonNullable<Answer['grant']>;
    const words = { ...askOf(0), holder: HOLDER, dropper: DROPPER, boot: 3, answer: GRANT };
    return [
      ['by another key', [{ ...good, grant: { ...granted, signature: signGrant(stranger, words) } }]],
      ['by nobody', [{ ...good, grant: { ...granted, signature: new Uint8Array() } }]],
      ['for another dropper', [grant({ dropper: HOLDER })]],
      ['in another host’s name', [grant({ holder: DROPPER })]],
      ['for another attempt', [{ ...grant({ nonce: nonceOf(9) }), nonce }]],
      ['for another parcel', [{ ...grant({ parcel: parcelOf(9) }), parcel }]],
      ['another possession', [{ ...good, grant: { ...granted, possession: new Uint8Array(32) } }]],
      ['another version', [{ ...good, grant: { ...granted, configVersion: 8 } }]],
      ['another boot', [{ ...good, grant: { ...granted, boot: 4 } }]],
    ];
  });
  for (const ending of ended) t.regex(ending, /: 0, BAD_GRANT_SIGNATURE$/);
  t.deepEqual(offences, Array(9).fill('BAD_GRANT_SIGNATURE'));
});

test('an answer that breaks off, or never comes, is nobody’s offence', async t => {
  const { holder, ask, grant, offences } = await pair(t);
  let stopped = false;
  let isLast = false;
  await serveGrants(holder, async function* (_asks, _from, signal) {
    yield grant();
    if (!isLast) throw new Error('disk trouble');
    await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }));
    stopped = true;
    signal.throwIfAborted();
  });
  const answers: TakenAnswer[] = [];
  const reading = async (signal?: AbortSignal): Promise<void> => {
    for await (const answer of ask(asksOf(2), signal)) answers.push(answer);
  };
  await t.throwsAsync(reading(), { code: 'STREAM_BROKEN' });
  t.is(answers.length, 1);

  isLast = true;
  const attempt = new AbortController();
  const waiting = reading(attempt.signal);
  await until(() => answers.length === 2, 'the first answer');
  attempt.abort(new Error('the attempt is over'));
  await t.throwsAsync(waiting, { message: 'the attempt is over' });
  await until(() => stopped, 'the holder to hear of it');
  t.deepEqual(offences, []);
});

test('a holder that answers what was not asked, or not all, has a bug and resets the stream', async t => {
  const { holder, ask } = await pair(t);
  const cases: GivenAnswer[][] = [[denied(askOf(9), 'busy')], [denied(askOf(0), 'busy'), denied(askOf(0), 'busy')], []];
  let next = 0;
  await serveGrants(holder, async function* () {
    yield* cases[next] ?? [];
  });
  for (; next < cases.length; next++) await t.throwsAsync(all(ask([askOf(0)])), { code: 'STREAM_BROKEN' });
});
