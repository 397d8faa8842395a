/** Auditor: asks over real streams, compares with our own copy, and answers from what the disk gives. */
import test, { type ExecutionContext } from 'ava';
import { encode } from 'it-length-prefixed';
import { pino } from 'pino';
import type { Member } from '../../src/core/cluster-config.js';
import type { ReadFailure } from '../../src/core/effects.js';
import {
  type HostId,
  type Possession,
  parseHostId,
  parseNonce,
  parseParcelId,
  parseStoreId,
  type StoreId,
} from '../../src/core/ids.js';
import { Auditor } from '../../src/daemon/auditor.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Roster } from '../../src/daemon/roster.js';
import { publicKeyOf } from '../../src/membership/peer-key.js';
import { AUDIT_PROTOCOL, askAudit, serveAudits } from '../../src/net/audit-protocol.js';
import { type Host, House, until } from '../net/fleet.js';

const [AUDITOR, HOLDER] = ['1', '2'].map(digit => parseHostId(digit.repeat(32))) as [HostId, HostId];
const AUDIT = parseNonce('3'.repeat(32));
const PARCEL = parseParcelId('4'.repeat(64));
const STORE = parseStoreId('5'.repeat(32));
const RIGHT = '6'.repeat(64) as Possession;
const WRONG = '7'.repeat(64) as Possession;
const LIVE = '8'.repeat(64) as Possession;
const log = pino({ level: 'silent' });

type Read = ReadFailure | Possession;
const isFailure = (read: Read): read is ReadFailure => read === 'corrupt' || read === 'unreadable';

/** A host that audits and one that is audited; what each reads from its own disk is set. */
async function pair(
  t: ExecutionContext,
  {
    own = RIGHT,
    theirs = RIGHT,
    holds = true,
    trust = 'trusted',
    answerMs = 60_000,
  }: { own?: Read; theirs?: Read | Promise<Read>; holds?: boolean; trust?: Member['trust']; answerMs?: number } = {},
) {
  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  const members = [
    { host: AUDITOR, peer: a.net.peer, trust },
    { host: HOLDER, peer: b.net.peer, trust: 'trusted' as const },
  ].map((member): Member => ({ ...member, name: member.host, domain: member.host, state: 'active', roaming: false }));
  const told: Unstamped[] = [];
  const reads: string[] = [];
  const noted: object[] = [];
  const of = (
    self: HostId,
    net: Host['net'],
    read: Read | Promise<Read>,
    storeOf: () => StoreId | undefined,
  ): Auditor => {
    const roster = new Roster({ self, publicKeyOf });
    roster.update(members);
    const auditor = new Auditor({
      net,
      roster,
      reader: {
        possess: async ({ parcel, nonce, holders }) => {
          t.is(parcel, PARCEL);
          t.is(nonce, AUDIT);
          t.deepEqual(holders, [HOLDER]);
          reads.push(self);
          const result = await read;
          return isFailure(result) ? result : new Map([[HOLDER, result]]);
        },
      },
      live: {
        possession: async ({ parcel, nonce, holder }) => {
          t.deepEqual([parcel, nonce, holder], [PARCEL, AUDIT, HOLDER]);
          return LIVE;
        },
      },
      notes: {
        note: async note => void noted.push(note),
        forget: async copy => void noted.push({ copy, unanswered: undefined }),
      },
      storeOf,
      bytesOf: () => 1_000,
      tell: input => void told.push(input),
      log,
      answerMs,
    });
    t.teardown(() => auditor.stop());
    return auditor;
  };
  const auditor = of(AUDITOR, a.net, own, () => STORE);
  const holder = of(HOLDER, b.net, theirs, () => (holds ? STORE : undefined));
  const ask = (): void => auditor.ask({ do: 'ask-audit', audit: AUDIT, parcel: PARCEL, store: STORE, holder: HOLDER });
  const askAsOrigin = (): void =>
    auditor.ask({ do: 'ask-audit', audit: AUDIT, parcel: PARCEL, store: undefined, holder: HOLDER });
  const outcome = async (): Promise<Unstamped | undefined> => {
    await until(() => told.length > 0, 'the outcome');
    return told[0];
  };
  return { a, b, auditor, holder, ask, askAsOrigin, outcome, told, reads, noted };
}

const audited = (answer: object | undefined, expected: Possession | undefined): object => ({
  is: 'audited',
  audit: AUDIT,
  expected,
  answer,
});

for (const theirs of [RIGHT, WRONG]) {
  test(`a possession is handed on beside what our own copy gives: ${theirs.slice(0, 4)}`, async t => {
    const { holder, ask, outcome } = await pair(t, { theirs });
    await holder.serve();
    ask();
    t.deepEqual(await outcome(), audited({ answer: 'proof', possession: theirs }, RIGHT) as Unstamped);
  });
}

for (const [what, options, because] of [
  ['what it does not hold', { holds: false }, 'absent'],
  ['what turns out to be wrong', { theirs: 'corrupt' }, 'corrupt'],
  ['what cannot be read just now', { theirs: 'unreadable' }, 'busy'],
  ['whoever is not trusted', { trust: 'untrusted' }, 'busy'],
] as const) {
  test(`a holder denies ${what}, and our own copy is not read for that`, async t => {
    const { holder, ask, outcome, reads } = await pair(t, options);
    await holder.serve();
    ask();
    t.deepEqual(await outcome(), audited({ answer: 'deny', because }, undefined) as Unstamped);
    t.false(reads.includes(AUDITOR));
  });
}

test('at the origin a possession is compared with what the live files give', async t => {
  const { holder, askAsOrigin, outcome, reads } = await pair(t);
  await holder.serve();
  askAsOrigin();
  t.deepEqual(await outcome(), audited({ answer: 'proof', possession: RIGHT }, LIVE) as Unstamped);
  t.false(reads.includes(AUDITOR));
});

test('what did not answer is written down, and forgotten', async t => {
  const { auditor, noted } = await pair(t);
  const copy = { host: HOLDER, store: STORE, parcel: PARCEL };
  const unanswered = { questions: 3, sinceRunMs: 7 };
  auditor.note({ do: 'note-unanswered', copy, unanswered });
  auditor.note({ do: 'note-unanswered', copy, unanswered: undefined });
  t.deepEqual(noted, [
    { copy, unanswered },
    { copy, unanswered: undefined },
  ]);
});

test('with our own copy unreadable nothing can be said', async t => {
  const { holder, ask, outcome } = await pair(t, { own: 'unreadable' });
  await holder.serve();
  ask();
  t.deepEqual(await outcome(), audited({ answer: 'proof', possession: RIGHT }, undefined) as Unstamped);
});

test('a holder that says nothing is waited for no longer than a read takes, and its read ends', async t => {
  const { holder, ask, outcome } = await pair(t, { theirs: new Promise<Read>(() => undefined), answerMs: 200 });
  await holder.serve();
  ask();
  t.deepEqual(await outcome(), audited(undefined, undefined) as Unstamped);
});

test('a holder out of reach, and a service that stops, end in an outcome without an answer', async t => {
  const { auditor, ask, outcome, told } = await pair(t);
  ask();
  t.deepEqual(await outcome(), audited(undefined, undefined) as Unstamped);
  await auditor.stop();
  ask();
  await until(() => told.length === 2, 'the second outcome');
  t.deepEqual(told[1], audited(undefined, undefined) as Unstamped);
});

test('answers that are none are refused and held against the holder', async t => {
  const { a, b } = await pair(t);
  const offences: string[] = [];
  a.net.onOffence((_peer, error) => offences.push(error.code));
  const { signal } = new AbortController();
  let bytes = Buffer.alloc(0);
  await b.net.handle(AUDIT_PROTOCOL, async stream => {
    stream.send(encode.single(bytes).subarray());
    await stream.close();
  });
  // Neither proof nor denial; a proof of one byte; a message above its limit.
  for (const wrong of [Buffer.alloc(0), Buffer.from([0x0a, 0x03, 0x0a, 0x01, 0xff]), Buffer.alloc(200)]) {
    bytes = wrong;
    await t.throwsAsync(askAudit(a.net, b.net.peer, { nonce: AUDIT, parcel: PARCEL }, signal), {
      code: 'MALFORMED_MESSAGE',
    });
  }
  t.is(offences.length, 3);
});

test('questions that are none are refused and held against their asker', async t => {
  const { a, b } = await pair(t);
  const offences: string[] = [];
  b.net.onOffence((_peer, error) => offences.push(error.code));
  await serveAudits(b.net, async () => ({ answer: 'deny', because: 'busy' }));
  const stream = await a.net.open(b.net.peer, AUDIT_PROTOCOL);
  stream.send(encode.single(Buffer.from([0x0a, 0x01, 0xff])).subarray());
  await until(() => offences.length === 1, 'the complaint');
  t.deepEqual(offences, ['MALFORMED_MESSAGE']);
});
