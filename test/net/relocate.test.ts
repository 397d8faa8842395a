import test, { type ExecutionContext } from 'ava';
import { encode } from 'it-length-prefixed';
import { Answer, Offer } from '../../protocols/relocate/relocate.js';
import { bytesOf, type ParcelId, parseParcelId } from '../../src/core/ids.js';
import { OFFERED_PARCELS_MAX } from '../../src/core/relocating.js';
import {
  offerRelocation,
  PARCELS_PER_OFFER_MAX,
  RELOCATE_PROTOCOL,
  serveRelocations,
} from '../../src/net/relocate-protocol.js';
import { type Host, House, until } from './fleet.js';

const parcelOf = (i: number): ParcelId => parseParcelId(i.toString(16).padStart(64, '0'));
const parcelsOf = (count: number): ParcelId[] => Array.from({ length: count }, (_, i) => parcelOf(i));

/** The nets of a host that is too full and of one that has room, and what each counts against the other. */
async function pair(t: ExecutionContext) {
  const [giver, taker] = (await new House(t).clique(2)) as [Host, Host];
  const offences: string[] = [];
  giver.net.onOffence((_peer, error) => offences.push(`of the taker: ${error.code}`));
  taker.net.onOffence((_peer, error) => offences.push(`of the giver: ${error.code}`));
  const offer = (parcels: readonly ParcelId[], signal = new AbortController().signal) =>
    offerRelocation(giver.net, taker.net.peer, parcels, signal);
  return { giver: giver.net, taker: taker.net, offer, offences };
}

test('an offer reaches the taker as it is, and its yes or no the giver', async t => {
  const { giver, taker, offer, offences } = await pair(t);
  const offered: unknown[] = [];
  await serveRelocations(taker, async (parcels, from) => {
    offered.push({ parcels, from });
    return parcels.length === 2;
  });
  t.true(await offer(parcelsOf(2)));
  t.false(await offer(parcelsOf(1)));
  t.deepEqual(offered, [
    { parcels: parcelsOf(2), from: giver.peer },
    { parcels: parcelsOf(1), from: giver.peer },
  ]);
  t.deepEqual(offences, []);
});

test('512 parcels are an offer and 513 are not, on either side', async t => {
  const { giver, taker, offer, offences } = await pair(t);
  let most = 0;
  await serveRelocations(taker, async parcels => {
    most = Math.max(most, parcels.length);
    return true;
  });
  t.is(PARCELS_PER_OFFER_MAX, OFFERED_PARCELS_MAX);
  t.true(await offer(parcelsOf(PARCELS_PER_OFFER_MAX)));
  await t.throwsAsync(offer(parcelsOf(PARCELS_PER_OFFER_MAX + 1)), { message: /^bug:/ });
  await t.throwsAsync(offer([]), { message: /^bug:/ });

  for (const parcels of [
    parcelsOf(PARCELS_PER_OFFER_MAX + 1).map(bytesOf),
    [],
    [parcelOf(1), parcelOf(2), parcelOf(1)].map(bytesOf),
    [new Uint8Array(31)],
    [bytesOf(parcelOf(1)), new Uint8Array(33)],
    [new Uint8Array(20 * 1024)],
  ]) {
    const before = offences.length;
    const stream = await giver.open(taker.peer, RELOCATE_PROTOCOL);
    stream.send(encode.single(Offer.encode({ parcels })));
    await until(() => offences.length > before, 'the offence');
  }
  t.deepEqual(offences, Array(6).fill('of the giver: MALFORMED_MESSAGE'));
  t.is(most, PARCELS_PER_OFFER_MAX);
});

test('a reason of a later version is a refusal; what is no answer is an offence', async t => {
  const { taker, offer, offences } = await pair(t);
  let sent: Uint8Array = new Uint8Array();
  await taker.handle(RELOCATE_PROTOCOL, async stream => {
    stream.send(sent);
  });
  sent = encode.single(Answer.encode({ refuse: { because: 77 } })).subarray();
  t.false(await offer([parcelOf(1)]));
  t.deepEqual(offences, []);

  for (const bytes of [Answer.encode({}), Uint8Array.of(0x0a, 0x7f), new Uint8Array(65)]) {
    sent = encode.single(bytes).subarray();
    await t.throwsAsync(offer([parcelOf(1)]), { code: 'MALFORMED_MESSAGE' });
  }
  t.deepEqual(offences, Array(3).fill('of the taker: MALFORMED_MESSAGE'));
});

test('an answer that breaks off, or never comes, is nobody’s offence', async t => {
  const { taker, offer, offences } = await pair(t);
  let waits = false;
  let stopped = false;
  await serveRelocations(taker, async (parcels, _from, signal) => {
    if (parcels.length === 1) throw new Error('no member any more');
    const ended = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }));
    waits = true;
    await ended;
    stopped = true;
    return true;
  });
  await t.throwsAsync(offer(parcelsOf(1)), { code: 'STREAM_BROKEN' });

  const patience = new AbortController();
  const waiting = t.throwsAsync(offer(parcelsOf(2), patience.signal), { message: 'waited long enough' });
  await until(() => waits, 'the offer');
  patience.abort(new Error('waited long enough'));
  await waiting;
  await until(() => stopped, 'the taker to hear of it');
  t.deepEqual(offences, []);
});
