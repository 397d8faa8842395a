/**
 * Ids: the names of things, as branded strings that only a `parse…` can make.
 *
 * All are lower-case hex of a fixed length, so that they compare, sort and print the same way on every host. Inside the
 * machine's tables they become small integers; on the wire and on disk they are raw bytes.
 */
declare const brand: unique symbol;
/** A set of names, so that an id can be of two kinds: a parcel's id is also an object's id. */
type Brand<T, Name extends string> = T & { readonly [brand]: { readonly [K in Name]: true } };

/** First 16 bytes of BLAKE3 of a host's *first* peer key: it survives a change of key (`replace`). 32 hex digits. */
export type HostId = Brand<string, 'HostId'>;
/** A store's own random id, made with its marker. 32 hex digits. */
export type StoreId = Brand<string, 'StoreId'>;
/** BLAKE3-256 of a file's content, as `b3sum` prints it. 64 hex digits. */
export type BlobId = Brand<string, 'BlobId'>;
/** BLAKE3-256 of a canonical object: head, snapshot, page or record. 64 hex digits. */
export type ObjectId = Brand<string, 'ObjectId'>;
/** A record's object id: the name of the parcel it lists. 64 hex digits. */
export type ParcelId = ObjectId & Brand<string, 'ParcelId'>;
/** The 16 bytes that a parcel inherits from its predecessor and by which hosts are ranked. 32 hex digits. */
export type Key = Brand<string, 'Key'>;
/** The id of a cluster: first 16 bytes of BLAKE3 of its first configuration. 32 hex digits. */
export type ClusterId = Brand<string, 'ClusterId'>;
/** `<host id>/<source name>`: a source, named so that no two origins collide. */
export type SourceId = Brand<string, 'SourceId'>;
/** Names one attempt to drop one parcel: 128 random bits, never used again. 32 hex digits. */
export type Nonce = Brand<string, 'Nonce'>;
/** A proof of possession (possession.ts). 64 hex digits. */
export type Possession = Brand<string, 'Possession'>;
/** A libp2p peer id in its text form (`12D3Koo…`): a host's *present* key. */
export type PeerName = Brand<string, 'PeerName'>;

/** A malformed id from outside. Thrown by every `parse…` here. */
export class MalformedId extends Error {
  readonly code = 'MALFORMED_ID';
  readonly blame = 'peer';
}

function parseHex(what: string, digits: number, text: string): string {
  if (text.length !== digits || !/^[0-9a-f]+$/.test(text)) {
    throw new MalformedId(
      `not a ${what}: ${JSON.stringify(text.slice(0, 80))} (expected ${digits} lower-case hex digits)`,
    );
  }
  return text;
}

export const parseHostId = (text: string): HostId => parseHex('host id', 32, text) as HostId;
export const parseStoreId = (text: string): StoreId => parseHex('store id', 32, text) as StoreId;
export const parseBlobId = (text: string): BlobId => parseHex('blob id', 64, text) as BlobId;
export const parseObjectId = (text: string): ObjectId => parseHex('object id', 64, text) as ObjectId;
export const parseParcelId = (text: string): ParcelId => parseHex('parcel id', 64, text) as ParcelId;
export const parseKey = (text: string): Key => parseHex('parcel key', 32, text) as Key;
export const parseNonce = (text: string): Nonce => parseHex('nonce', 32, text) as Nonce;
export const parsePossession = (text: string): Possession => parseHex('proof of possession', 64, text) as Possession;
export const parseClusterId = (text: string): ClusterId => parseHex('cluster id', 32, text) as ClusterId;

/** The pattern of host and source names; a store's name follows it too. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/;

export function sourceIdOf(origin: HostId, source: string): SourceId {
  if (!NAME_PATTERN.test(source)) throw new MalformedId(`not a source name: ${JSON.stringify(source.slice(0, 80))}`);
  return `${origin}/${source}` as SourceId;
}

export function parseSourceId(text: string): SourceId {
  const { origin, source } = splitSourceId(text as SourceId);
  return sourceIdOf(origin, source);
}

export function splitSourceId(id: SourceId): { readonly origin: HostId; readonly source: string } {
  const slash = id.indexOf('/');
  return { origin: parseHostId(id.slice(0, Math.max(slash, 0))), source: id.slice(slash + 1) };
}

/** A libp2p Ed25519 peer id as text: only alphabet and length are checked; libp2p checks the rest when it dials. */
export function parsePeerName(text: string): PeerName {
  if (!/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/.test(text)) {
    throw new MalformedId(`not an Ed25519 peer id: ${JSON.stringify(text.slice(0, 80))}`);
  }
  return text as PeerName;
}

export const bytesOf = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
export const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
