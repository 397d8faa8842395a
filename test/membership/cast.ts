import { decode, encode } from 'cborg';
import { type Logger, pino } from 'pino';
import { hash } from '../../src/core/hash.js';
import type { HostId } from '../../src/core/ids.js';
import { hexOf } from '../../src/core/ids.js';
import type { Signer } from '../../src/core/signed.js';
import {
  type Admission,
  type Joiner,
  NONCE_BYTES,
  proofMessage,
  signAdmission,
} from '../../src/membership/admission.js';
import {
  type Configuration,
  type ConfigurationContent,
  type ConfigurationMember,
  contentOf,
  type Revocation,
  signVersion,
  type Trust,
} from '../../src/membership/configuration.js';
import { type Invite, signInvite } from '../../src/membership/invite.js';
import { hostIdOf, peerNameOf } from '../../src/membership/peer-key.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';

/** 21 November 2026, noon. */
export const NOON_MS = Date.UTC(2026, 10, 21, 12);
export const HOUR_MS = 3_600_000;

export const silent: Logger = pino({ level: 'silent' });

export interface Key extends Signer {
  readonly seed: Uint8Array;
}

export function newKey(): Key {
  const { seed } = generateKeyPair();
  return { ...signerFromSeed(seed), seed };
}

export const hostOf = (key: Key): HostId => hostIdOf(key.publicKey);

export function memberOf(key: Key, name: string, more: Partial<ConfigurationMember> = {}): ConfigurationMember {
  return {
    host: hostOf(key),
    name,
    peer: peerNameOf(key.publicKey),
    trust: 'trusted',
    state: 'active',
    addresses: [],
    invite: undefined,
    ...more,
  };
}

/** Of a host that had backed nothing up. */
export const revocationOf = (key: Key): Revocation => ({
  host: hostOf(key),
  peer: peerNameOf(key.publicKey),
  heads: [],
});

/** Version 1: one host `a` for each admin key, the first one `a1`. */
export function found(admins: readonly Key[], content: Partial<ConfigurationContent> = {}): Configuration {
  const [first] = admins;
  if (first === undefined) throw new Error('a cluster needs an admin');
  const members = admins.map((key, index) => memberOf(key, `a${index + 1}`));
  return signVersion(
    {
      members,
      admins: admins.map(key => ({ key: hexOf(key.publicKey), host: hostOf(key) })),
      revoked: [],
      archived: [],
      forgotten: [],
      released: [],
      replaced: [],
      policyText: 'cluster: home\n',
      ...content,
    },
    { parent: undefined, signer: first, nowMs: NOON_MS },
  );
}

/** The next version. Each has its own `signedMs`, so that no two are alike by chance. */
let tick = 0;
export function next(
  parent: Configuration,
  signer: Signer,
  content: Partial<ConfigurationContent> = {},
): Configuration {
  return signVersion({ ...contentOf(parent), ...content }, { parent, signer, nowMs: NOON_MS + ++tick });
}

/** A version of one part, as a later release signs it: its policy has a key that this one does not know. */
export function fromLaterRelease({ body, parts }: Configuration, signer: Signer): Uint8Array {
  const text = Buffer.from(`${parts[0]?.text}future: 1\n`);
  const fields = (decode(body) as unknown[]).map(field =>
    Array.isArray(field) && field[0]?.[0] === 'head' ? [['head', hash(text)]] : field,
  );
  const later = encode(fields);
  return encode([later, signer.sign(later), [[text]]]);
}

export interface Invitation {
  readonly invite: Invite;
  readonly seed: Uint8Array;
}

export function invitation(
  { cluster }: Configuration,
  admin: Signer,
  { uses = 1, trust = 'trusted' as Trust, expiresMs = NOON_MS + 24 * HOUR_MS } = {},
): Invitation {
  return signInvite({ cluster, uses, nowMs: NOON_MS, expiresMs, trust }, admin);
}

export function admission(
  { invite, seed }: Invitation,
  joining: Key,
  admitter: Key,
  wantedName = 'guest',
  nowMs = NOON_MS,
): Admission {
  const joiner: Joiner = { peer: peerNameOf(joining.publicKey), host: hostOf(joining), wantedName, addresses: [] };
  const nonce = generateKeyPair().seed.subarray(0, NONCE_BYTES);
  const meeting = { cluster: invite.cluster, inviteId: invite.id, admitter: peerNameOf(admitter.publicKey), nonce };
  const proof = signerFromSeed(seed).sign(proofMessage(joiner, meeting));
  return signAdmission(joiner, { invite, nonce, proof, signer: admitter, nowMs });
}
