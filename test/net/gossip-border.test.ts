import test from 'ava';
import fc from 'fast-check';
import { Frame } from '../../protocols/gossip/gossip.js';
import type { LogOp, LogPosition } from '../../src/core/holdings-log.js';
import { hexOf, parseHostId, parseParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';
import {
  CLAIMS_PER_MESSAGE_MAX,
  type Claims,
  GOSSIP_FRAME_BYTES_MAX,
  type GossipMessage,
} from '../../src/core/messages.js';
import {
  ADDRESSES_PER_FRAME_MAX,
  ALARMS_TOLD_MAX,
  decodeFrame,
  encodeFrame,
  frameBytes,
  HEADS_PER_MESSAGE_MAX,
  splitForFrames,
} from '../../src/net/gossip-border.js';
import { SEGMENT_OPS_MAX } from '../../src/net/log-border.js';

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(value => Buffer.from(value).toString('hex'));
const count = fc.maxSafeNat();
const hash = hex(32);
const store = hex(16).map(parseStoreId);
const host = hex(16).map(parseHostId);
const parcel = hash.map(parseParcelId);
const source = fc
  .tuple(host, fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/))
  .map(([origin, name]) => sourceIdOf(origin, name));
const position: fc.Arbitrary<LogPosition> = fc.record({
  store,
  epoch: fc.record({ counter: count, random: hex(8) }),
  seq: count.map(seq => Math.max(seq, 100)),
  digest: hash,
});
const op: fc.Arbitrary<LogOp> = fc.oneof(
  fc.record({ op: fc.constantFrom('add' as const, 'del' as const, 'corrupt' as const), parcel }),
  fc.record({ op: fc.constant('head' as const), source, seq: count.map(seq => Math.max(seq, 1)) }),
);
const message: fc.Arbitrary<GossipMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('heartbeat' as const),
    boot: count,
    bootId: fc.uint8Array({ minLength: 8, maxLength: 8 }).map(hexOf),
    stores: fc.array(
      fc.record({ position, lentBytes: count, usedBytes: count, weightMiB: count, unread: fc.boolean() }),
      { maxLength: 5 },
    ),
    configVersion: count,
    headsDigest: hash,
    paceBytesPerS: count,
  }),
  fc.record({
    kind: fc.constant('log' as const),
    segment: fc.record({
      host,
      end: position,
      ops: fc.array(op, { maxLength: 20 }),
      signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
    }),
  }),
  fc.record({
    kind: fc.constant('heads' as const),
    heads: fc.array(fc.record({ source, seq: count, hash }), { maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant('claims' as const),
    store,
    claims: fc.array(fc.record({ parcel, ttlMs: count }), { maxLength: 5 }),
    withdrawn: fc.array(parcel, { maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant('failed-audits' as const),
    failed: fc.array(fc.record({ host, store, parcel }), { maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant('config' as const),
    version: count,
    hash,
    admissions: fc.array(host, { maxLength: 5 }),
  }),
);

const WRITER = new Uint8Array(38).fill(7);
const STAMP = { writer: WRITER, boot: 3, frame: 9 };

/** Plain values, so that a Buffer equals a Uint8Array. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_key, inner: unknown) => (inner instanceof Uint8Array ? [...inner] : inner)));

test('every message comes back as it went', t => {
  fc.assert(
    fc.property(message, said => {
      const { stamp, message: heard } = decodeFrame(encodeFrame(STAMP, said));
      t.deepEqual(plain(heard), plain(said));
      t.deepEqual(plain(stamp), plain(STAMP));
      t.true(encodeFrame(STAMP, said).length <= frameBytes(said));
    }),
    { numRuns: 200 },
  );
});

test('bytes that are no frame are a malformed message, never a crash', t => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      try {
        decodeFrame(bytes);
      } catch (error) {
        t.is((error as { code?: string }).code, 'MALFORMED_MESSAGE');
      }
    }),
    { numRuns: 500 },
  );
});

test('a frame with a bit turned is malformed or well-shaped, never a crash', t => {
  fc.assert(
    fc.property(message, fc.nat(), (said, at) => {
      const bytes = Uint8Array.from(encodeFrame(STAMP, said));
      const bit = at % (bytes.length * 8);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      try {
        decodeFrame(bytes);
      } catch (error) {
        t.is((error as { code?: string }).code, 'MALFORMED_MESSAGE');
      }
    }),
    { numRuns: 500 },
  );
});

test('a message kind of a later version is a frame without a message', t => {
  const later = Buffer.concat([Frame.encode(STAMP), Buffer.from([(15 << 3) | 2, 3, 1, 2, 3])]);
  t.is(decodeFrame(later).message, undefined);
});

const someClaims = (length: number): Claims => ({
  kind: 'claims',
  store: parseStoreId('ab'.repeat(16)),
  claims: Array.from({ length }, () => ({ parcel: parseParcelId('cd'.repeat(32)), ttlMs: 60_000 })),
  withdrawn: [],
});

test('512 claims are a message and 513 are not', t => {
  const most = encodeFrame(STAMP, someClaims(CLAIMS_PER_MESSAGE_MAX));
  t.true(most.length <= GOSSIP_FRAME_BYTES_MAX);
  t.is(decodeFrame(most).message?.kind, 'claims');
  t.throws(() => decodeFrame(encodeFrame(STAMP, someClaims(CLAIMS_PER_MESSAGE_MAX + 1))), {
    code: 'MALFORMED_MESSAGE',
  });
});

test('a frame says where its writer listens: at 8 addresses and no more, each a multiaddr', t => {
  const heartbeat = {
    kind: 'heartbeat',
    boot: 1,
    bootId: 'ab'.repeat(8),
    stores: [],
    configVersion: 1,
    headsDigest: 'ab'.repeat(32),
    paceBytesPerS: 0,
  } as const;
  const said = (addresses: readonly string[]): readonly string[] =>
    decodeFrame(encodeFrame(STAMP, heartbeat, { addresses, wallMs: 0, alarms: 0 })).extras.addresses;
  const eight = Array.from({ length: ADDRESSES_PER_FRAME_MAX }, (_, n) => `/ip4/10.0.0.${n}/tcp/4747`);
  t.deepEqual(said([]), []);
  t.deepEqual(said(eight), eight);
  const refused = { code: 'MALFORMED_MESSAGE' };
  t.throws(() => said([...eight, '/ip4/10.0.0.9/tcp/4747']), refused);
  t.throws(() => said(['10.0.0.1:4747']), refused);
  t.throws(() => said([`/dns4/${'a.'.repeat(200)}example/tcp/4747`]), refused);
});

test('a frame says how many alarms its writer has, and nobody is told of more than 999', t => {
  const bytes = encodeFrame(STAMP, someClaims(1), { addresses: [], wallMs: 0, alarms: 3 });
  t.is(decodeFrame(bytes).extras.alarms, 3);
  const many = Frame.encode({ ...Frame.decode(bytes), alarms: 4_000_000_000 });
  t.is(decodeFrame(many).extras.alarms, ALARMS_TOLD_MAX);
  // As of an earlier version, which says nothing of it.
  t.is(decodeFrame(encodeFrame(STAMP, someClaims(1))).extras.alarms, 0);
});

test('a frame of more than 64 KiB is neither made nor read', t => {
  t.throws(() => encodeFrame(STAMP, someClaims(4096)), { message: /^bug: a claims frame of/ });
  const wire = Frame.decode(encodeFrame(STAMP, someClaims(1)));
  const claims = { ...(wire.claims ?? { store: new Uint8Array(16), claims: [] }), withdrawn: [new Uint8Array(65_536)] };
  t.throws(() => decodeFrame(Frame.encode({ ...wire, claims })), { code: 'MALFORMED_MESSAGE' });
});

test('what is too long for a frame is split, and nothing is lost or said twice', t => {
  fc.assert(
    fc.property(fc.nat(1300), fc.nat(1300), (length, withdrawnLength) => {
      const { store: of, claims } = someClaims(length);
      const withdrawn = Array.from({ length: withdrawnLength }, () => parseParcelId('ef'.repeat(32)));
      const parts = splitForFrames({ kind: 'claims', store: of, claims, withdrawn }) as Claims[];
      t.deepEqual(
        parts.flatMap(part => part.claims),
        claims,
      );
      t.deepEqual(
        parts.flatMap(part => part.withdrawn),
        withdrawn,
      );
      for (const part of parts) t.is(decodeFrame(encodeFrame(STAMP, part)).message?.kind, 'claims');
    }),
    { numRuns: 20 },
  );
  const longest = sourceIdOf(parseHostId('ab'.repeat(16)), 'x'.repeat(63));
  const heads = Array.from({ length: HEADS_PER_MESSAGE_MAX * 2 + 1 }, (_, seq) => ({
    source: longest,
    seq,
    hash: 'ab'.repeat(32),
  }));
  const parts = splitForFrames({ kind: 'heads', heads });
  t.is(parts.length, 3);
  for (const part of parts) t.true(encodeFrame(STAMP, part).length <= GOSSIP_FRAME_BYTES_MAX);
});

test('a segment of more operations than allowed, or more than its own number, is malformed', t => {
  const segment = (ops: number, seq: number): GossipMessage => ({
    kind: 'log',
    segment: {
      host: parseHostId('ab'.repeat(16)),
      end: {
        store: parseStoreId('ab'.repeat(16)),
        epoch: { counter: 1, random: '00'.repeat(8) },
        seq,
        digest: 'ab'.repeat(32),
      },
      ops: Array.from({ length: ops }, () => ({ op: 'add', parcel: parseParcelId('cd'.repeat(32)) })),
      signature: new Uint8Array(64),
    },
  });
  t.notThrows(() => decodeFrame(encodeFrame(STAMP, segment(3, 3))));
  t.throws(() => decodeFrame(encodeFrame(STAMP, segment(3, 2))), { code: 'MALFORMED_MESSAGE' });
  t.true(frameBytes(segment(SEGMENT_OPS_MAX, SEGMENT_OPS_MAX)) > GOSSIP_FRAME_BYTES_MAX, 'gossip cuts earlier');
});
