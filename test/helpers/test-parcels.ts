/**
 * Test parcels: parcels, what brings them into a store, and the proofs and warrants with which they may leave it.
 *
 * Records are made by a codec of this file, because a store knows them only through the `blobsOf` that it is given.
 */
import { decode, encode } from 'cborg';
import type { Member } from '../../src/core/cluster-config.js';
import { DropProof } from '../../src/core/drop-proof.js';
import { ExpiryWarrant } from '../../src/core/expiry.js';
import { hashHex } from '../../src/core/hash.js';
import {
  type BlobId,
  type HostId,
  type ParcelId,
  parseBlobId,
  parseHostId,
  parseNonce,
  parseParcelId,
  parsePeerName,
  parsePossession,
  type StoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import type { BlobRef } from '../../src/core/parcel.js';
import type { Store } from '../../src/store/store.js';

export interface TestBlob extends BlobRef {
  readonly blob: BlobId;
  readonly content: Buffer;
}

export function blobOf(content: string | Uint8Array): TestBlob {
  const bytes = Buffer.from(content);
  return { blob: parseBlobId(hashHex(bytes)), bytes: bytes.length, content: bytes };
}

export interface TestParcel {
  readonly id: ParcelId;
  readonly record: Uint8Array;
  readonly blobs: readonly TestBlob[];
}

export function parcelOf(...contents: readonly (string | Uint8Array)[]): TestParcel {
  const blobs = contents.map(blobOf);
  const record = encode(['test record', blobs.map(({ blob, bytes }) => [blob, bytes])]);
  return { id: parseParcelId(hashHex(record)), record, blobs };
}

export function blobsOf(record: Uint8Array): readonly BlobRef[] {
  const [tag, blobs] = decode(record) as [unknown, readonly [string, number][]];
  if (tag !== 'test record') throw new TypeError('not a record');
  return blobs.map(([blob, bytes]) => ({ blob, bytes }));
}

export async function receive(store: Pick<Store, 'receive'>, { blob, bytes, content }: TestBlob): Promise<void> {
  const incoming = await store.receive({ blob, bytes });
  await incoming.write(content);
  await incoming.finish();
}

/** Receives the missing blobs and commits, as the service does. */
export async function grab(store: Pick<Store, 'missing' | 'receive' | 'commit'>, parcel: TestParcel): Promise<void> {
  const missing = new Set((await store.missing(parcel.blobs)).map(({ blob }) => blob));
  for (const blob of parcel.blobs) if (missing.delete(blob.blob)) await receive(store, blob);
  await store.commit(parcel.id, parcel.record);
}

export async function contentOf(store: Pick<Store, 'openBlob'>, blob: BlobId): Promise<Buffer | undefined> {
  const opened = await store.openBlob(blob);
  if (opened === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of opened.read()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export const HOST: HostId = parseHostId('0a'.repeat(16));
export const OTHER: HostId = parseHostId('0b'.repeat(16));
export const NONCE = parseNonce('0e'.repeat(16));
const POSSESSION = parsePossession('0f'.repeat(32));

const GRANTER: Member = {
  host: OTHER,
  name: 'other',
  peer: parsePeerName(`12D3Koo${'W'.repeat(45)}`),
  state: 'active',
  trust: 'trusted',
  domain: OTHER,
  roaming: false,
};

/** Wants one copy and has one grant, which is enough: the tests of the core cover what a proof takes. */
export function proofFor(store: StoreId, parcel: ParcelId): DropProof {
  const proof = DropProof.from({
    parcel,
    store,
    stays: undefined,
    self: HOST,
    origins: [HOST],
    nonce: NONCE,
    copiesWanted: 1,
    grantable: 1,
    configVersion: 1,
    memberOf: () => GRANTER,
    grants: [{ host: OTHER, nonce: NONCE, possession: POSSESSION, expected: POSSESSION }],
  });
  if (proof === undefined) throw new Error('the proof lacks something');
  return proof;
}

export function warrantFor(store: StoreId, parcel: ParcelId): ExpiryWarrant {
  const view = { wanted: false, headSeq: 1, heardSeq: 1, runMs: 1, unwantedSinceRunMs: 0, gcGraceMs: 1, busy: false };
  const warrant = ExpiryWarrant.from({ ...view, source: sourceIdOf(HOST, 'photos') }, { parcel, store });
  if (warrant === undefined) throw new Error('the warrant lacks something');
  return warrant;
}

/** Parcels that are PRESENT according to the log. */
export async function presentByLog(store: Pick<Store, 'ops'>): Promise<Set<ParcelId>> {
  const present = new Set<ParcelId>();
  for (const op of await store.ops(0, Number.MAX_SAFE_INTEGER)) {
    if (op.op === 'add') present.add(op.parcel);
    else if (op.op !== 'head') present.delete(op.parcel);
  }
  return present;
}
