/**
 * Configuration: one signed version of what the cluster is. Who its members are, who may change it, and the policy.
 *
 * A version is a body (a canonical CBOR array, the bytes that are signed), a signature, and the policy's pieces, whose
 * hashes stand in the body. Its hash is that of the body, so a copy from which pieces were withheld (for an untrusted
 * host) is the same version and can be checked the same way. Each version names the hash of the one before it and is
 * valid only if its signer is an admin there. Version 1 names none: the cluster's id is the hash of its body, so it is
 * proved by the id alone.
 *
 * Pure but for the signer handed in. Kept in order by config-store.ts, which also settles forks.
 */

import { encode } from 'cborg';
import { HOSTS_MAX } from '../core/cluster-config.js';
import { TIME_MS_MAX } from '../core/day.js';
import { ClusterError } from '../core/fault.js';
import { hash, hashHex } from '../core/hash.js';
import {
  bytesOf,
  type ClusterId,
  type HostId,
  hexOf,
  NAME_PATTERN,
  type ObjectId,
  type PeerName,
  parseClusterId,
  parseHostId,
  parseObjectId,
  parseSourceId,
  type SourceId,
} from '../core/ids.js';
import { type Signer, signable } from '../core/signed.js';
import { verify } from '../platform/ed25519.js';
import { type Fields, malformed, readFields, readSignable } from './fields.js';
import { POLICY_BYTES_MAX, parsePolicy } from './parse-policy.js';
import { HASH_BYTES, ID_BYTES, KEY_BYTES, peerNameOf, publicKeyOf, SIGNATURE_BYTES } from './peer-key.js';
import type { Policy } from './policy.js';
import { joinPolicy, type PolicyPartName, splitPolicy } from './policy-parts.js';
import { PolicyError } from './policy-report.js';
import { COPIES_MAX, isAddress } from './policy-schema.js';

/** A version as it travels and lies on disk. 1000 members with some addresses and a full policy stay below it. */
export const VERSION_BYTES_MAX = 1024 * 1024;
export const MEMBERS_MAX = HOSTS_MAX;
/** Admin keys lie on a few machines; each can sign anything. */
export const ADMINS_MAX = 16;
/** Addresses in one member's record: what it listened on when it joined. */
export const MEMBER_ADDRESSES_MAX = 8;
/** Sources kept in force after they left the policy, and those that were forgotten. */
export const ARCHIVED_MAX = 10_000;
/**
 * Snapshots let go before their hold has run out: 80 kB. Those let go longest ago leave the list first; by then they
 * are long gone.
 */
export const RELEASED_MAX = 2_048;
/** Heads of one revoked host: more than it can have sources at a time, so that archived ones have room. */
export const REVOKED_HEADS_MAX = 1000;
/**
 * Machines in whose place another one has come: a class of thirty that loses one a month has room for decades. Their
 * keys must stay shut out, so none ever leaves the list.
 */
export const REPLACED_MAX = 1000;
const DOMAIN = 'scatterhoard/configuration/1';
const HOW_TO_FORGET = "'cluster forget SOURCE --archived --yes'";

export type Trust = 'trusted' | 'untrusted';
export const TRUSTS = ['trusted', 'untrusted'] as const satisfies readonly Trust[];

/** The state that an admin gives a member. `provisional` members are not in any version yet. */
type WrittenState = 'active' | 'draining' | 'revoked';
const STATES = ['active', 'draining', 'revoked'] as const satisfies readonly WrittenState[];

export interface ConfigurationMember {
  readonly host: HostId;
  readonly name: string;
  readonly peer: PeerName;
  readonly trust: Trust;
  readonly state: WrittenState;
  /** Where it said it listened when it joined. The policy's `addresses`, if any, replace these. */
  readonly addresses: readonly string[];
  /** The invite that it joined with, so that the invite's uses stay counted; `undefined` for the first host. */
  readonly invite: string | undefined;
}

interface Admin {
  /** 64 hex digits. */
  readonly key: string;
  /** The host that has the key: people who need an admin are told this host. */
  readonly host: HostId;
}

/** What stays valid of what a revoked host said: its sources' last heads. */
export interface Revocation {
  readonly host: HostId;
  readonly peer: PeerName;
  readonly heads: readonly { readonly source: SourceId; readonly seq: number; readonly hash: string }[];
}

/**
 * A machine in whose place another one goes on as the same host, and what stays valid of what the host said with its
 * key. That key is shut out as a revoked one is.
 */
export interface Replacement extends Revocation {
  /** The invite that the machine joined with, which is closed by this. */
  readonly invite: string | undefined;
}

/** The machines that are shut out: those revoked, and those in whose place others go on. */
export const shutOutBy = ({
  revoked,
  replaced,
}: {
  readonly revoked: readonly Revocation[];
  readonly replaced: readonly Revocation[];
}): readonly Revocation[] => [...revoked, ...replaced];

/** A source that left the policy. Its copies stay in force until an admin forgets it. */
export interface ArchivedSource {
  readonly source: SourceId;
  readonly copies: number;
}

/** An archived source that an admin forgot: nobody wants what its heads up to this one list. */
export interface ForgottenSource {
  readonly source: SourceId;
  /** The `seq` of the newest head that the admin's host knew; 0 for none. */
  readonly seq: number;
}

interface ConfigurationPart {
  readonly name: PolicyPartName;
  readonly hash: string;
  /** `undefined` when it was withheld from this host. */
  readonly text: string | undefined;
}

/** A version whose shape and hashes are right. It says nothing about who signed it. */
export interface UncheckedVersion {
  readonly version: number;
  /** BLAKE3 of the body, 64 hex digits: what the next version names, and what hosts tell each other. */
  readonly hash: string;
  readonly previous: string | undefined;
  /** `undefined` in version 1, whose hash is the cluster's id. */
  readonly cluster: ClusterId | undefined;
  /** When its signer's clock said it was signed. */
  readonly signedMs: number;
  /** 64 hex digits. */
  readonly signer: string;
  readonly members: readonly ConfigurationMember[];
  /** Never empty. Its order decides forks. */
  readonly admins: readonly Admin[];
  readonly revoked: readonly Revocation[];
  readonly archived: readonly ArchivedSource[];
  readonly forgotten: readonly ForgottenSource[];
  /** Snapshots that are no longer held once their source's head does not list them; those let go last come last. */
  readonly released: readonly ObjectId[];
  /** In the order in which it was done: a host may be in it several times. */
  readonly replaced: readonly Replacement[];
  readonly parts: readonly ConfigurationPart[];
  readonly body: Uint8Array;
  readonly signature: Uint8Array;
  /** The bytes as received: pieces may have been withheld. */
  readonly raw: Uint8Array;
}

/** A version that follows from the one before it, and so from the cluster's id. */
export interface Configuration extends UncheckedVersion {
  readonly cluster: ClusterId;
  readonly clusterName: string;
  /** The policy of the pieces that are here. */
  readonly policy: Policy;
  readonly policyText: string;
}

export type VersionRefusal =
  | 'malformed'
  | 'other-cluster'
  | 'not-the-next'
  | 'not-an-admin'
  | 'bad-signature'
  /** Signed by an admin, but this release cannot read its policy. */
  | 'policy-unreadable';

/** Reads a version without believing it. @throws ClusterError MALFORMED */
export function readVersion(raw: Uint8Array): UncheckedVersion {
  const outer = readFields('version', raw, VERSION_BYTES_MAX);
  const body = outer.bytesUpTo('body', VERSION_BYTES_MAX);
  const signature = outer.bytes('signature', SIGNATURE_BYTES);
  const texts = outer.list('texts', HOSTS_MAX + 2, item =>
    item.isNothing() ? undefined : item.bytesUpTo('text', POLICY_BYTES_MAX),
  );
  outer.end();
  const fields = readBody(body);
  checkBody(fields);
  const { partHeads, ...read } = fields;
  return { ...read, hash: hashHex(body), parts: readParts(partHeads, texts), body, signature, raw };
}

type PartHead = Omit<ConfigurationPart, 'text'>;

interface Body extends Omit<UncheckedVersion, 'hash' | 'parts' | 'body' | 'signature' | 'raw'> {
  readonly partHeads: readonly PartHead[];
}

function readBody(body: Uint8Array): Body {
  const fields = readSignable('configuration', DOMAIN, body, VERSION_BYTES_MAX);
  // In the order of the fields in the body.
  const read = {
    cluster: fields.isNothing() ? undefined : parseClusterId(fields.hex('cluster', ID_BYTES)),
    version: fields.integer('version', 1),
    previous: fields.isNothing() ? undefined : fields.hex('previous', HASH_BYTES),
    signedMs: fields.integer('signedMs', 0, TIME_MS_MAX),
    signer: fields.hex('signer', KEY_BYTES),
    members: fields.list('members', MEMBERS_MAX, readMember),
    admins: fields.list('admins', ADMINS_MAX, readAdmin),
    partHeads: fields.list('parts', HOSTS_MAX + 2, readPartHead),
    revoked: fields.list('revoked', MEMBERS_MAX, readRevocation),
    archived: fields.list('archived', ARCHIVED_MAX, readArchived),
    // Versions in which nothing was ever forgotten end here.
    forgotten: fields.isAtEnd() ? [] : fields.list('forgotten', ARCHIVED_MAX, readForgotten),
    released: fields.isAtEnd() ? [] : fields.list('released', RELEASED_MAX, readReleased),
    // Versions in which no machine was ever replaced end here.
    replaced: fields.isAtEnd() ? [] : fields.list('replaced', REPLACED_MAX, readReplacement),
  };
  fields.end();
  return read;
}

/** What may be listed at most once. */
const UNIQUE: readonly (readonly [what: string, of: (body: Body) => readonly string[]])[] = [
  ['member host', ({ members }) => members.map(({ host }) => host)],
  ['member name', ({ members }) => members.map(({ name }) => name)],
  ['member peer', ({ members }) => members.map(({ peer }) => peer)],
  ['admin key', ({ admins }) => admins.map(({ key }) => key)],
  ['part', ({ partHeads }) => partHeads.map(({ name }) => name)],
  ['archived source', ({ archived }) => archived.map(({ source }) => source)],
  ['forgotten source', ({ forgotten }) => forgotten.map(({ source }) => source)],
  ['released snapshot', ({ released }) => released],
  ['replaced peer', ({ replaced }) => replaced.map(({ peer }) => peer)],
];

function checkBody(body: Body): void {
  const { version, cluster, previous, admins, partHeads } = body;
  if ((version === 1) !== (cluster === undefined) || (version === 1) !== (previous === undefined)) {
    throw malformed('configuration: version 1, and it alone, names no cluster and no version before it');
  }
  if (admins.length === 0) throw malformed('configuration: no admins');
  if (partHeads[0]?.name !== 'head') throw malformed('configuration: the first part is not the head');
  const former = new Set(body.replaced.map(({ peer }) => peer));
  if (body.members.some(({ peer }) => former.has(peer))) throw malformed('configuration: a member with a replaced key');
  for (const [what, of] of UNIQUE) {
    const values = of(body);
    if (new Set(values).size !== values.length) throw malformed(`configuration: one ${what} twice`);
  }
}

function readParts(heads: readonly PartHead[], texts: readonly (Uint8Array | undefined)[]): ConfigurationPart[] {
  if (texts.length !== heads.length) throw malformed('version: not one text a part');
  return heads.map((head, index) => {
    const bytes = texts[index];
    if (bytes === undefined) return { ...head, text: undefined };
    if (hashHex(bytes) !== head.hash) throw malformed(`version: the text of part ${head.name} is not the signed one`);
    return { ...head, text: readUtf8(head.name, bytes) };
  });
}

function readMember(item: Fields): ConfigurationMember {
  return {
    host: parseHostId(item.hex('host', ID_BYTES)),
    name: item.text('name', NAME_PATTERN),
    peer: peerNameOf(item.bytes('key', KEY_BYTES)),
    trust: item.word('trust', TRUSTS),
    state: item.word('state', STATES),
    addresses: item.texts('addresses', MEMBER_ADDRESSES_MAX, isAddress),
    invite: item.isNothing() ? undefined : item.hex('invite', ID_BYTES),
  };
}

function readRevocation(item: Fields): Revocation {
  return {
    host: parseHostId(item.hex('host', ID_BYTES)),
    peer: peerNameOf(item.bytes('key', KEY_BYTES)),
    heads: item.list('heads', REVOKED_HEADS_MAX, head => ({
      source: readSource(head),
      seq: head.integer('seq', 1),
      hash: head.hex('hash', HASH_BYTES),
    })),
  };
}

const readReplacement = (item: Fields): Replacement => ({
  ...readRevocation(item),
  invite: item.isNothing() ? undefined : item.hex('invite', ID_BYTES),
});

const readAdmin = (item: Fields): Admin => ({
  key: item.hex('key', KEY_BYTES),
  host: parseHostId(item.hex('host', ID_BYTES)),
});

const readPartHead = (item: Fields): PartHead => ({
  name: item.text('name', /^(?:head|tail|host:[a-z0-9][a-z0-9-]{0,62})$/) as PolicyPartName,
  hash: item.hex('hash', HASH_BYTES),
});

const readArchived = (item: Fields): ArchivedSource => ({
  source: readSource(item),
  copies: item.integer('copies', 1, COPIES_MAX),
});

const readForgotten = (item: Fields): ForgottenSource => ({ source: readSource(item), seq: item.integer('seq', 0) });

const readReleased = (item: Fields): ObjectId => parseObjectId(item.hex('snapshot', HASH_BYTES));

const readSource = (item: Fields): SourceId =>
  parseSourceId(item.text('source', /^[0-9a-f]{32}\/[a-z0-9][a-z0-9-]{0,62}$/));

function readUtf8(what: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw malformed(`version: part ${what} is no UTF-8`, cause);
  }
}

/** The id of the cluster that a version 1 founds. */
export const clusterIdOf = (first: UncheckedVersion): ClusterId =>
  parseClusterId(hexOf(hash(first.body).subarray(0, ID_BYTES)));

/**
 * Does this version follow from `parent` (from the cluster's id alone, for version 1)? Rivals in a fork are checked
 * too: core (config-fork.ts) decides which of two valid children wins. `parent` must be a version that was checked, or
 * has the hash of one.
 */
export function checkVersion(
  unchecked: UncheckedVersion,
  { cluster, parent }: { readonly cluster: ClusterId; readonly parent: UncheckedVersion | undefined },
): Configuration | VersionRefusal {
  const claimed = unchecked.version === 1 ? clusterIdOf(unchecked) : unchecked.cluster;
  if (claimed !== cluster) return 'other-cluster';
  if (unchecked.version !== (parent?.version ?? 0) + 1 || unchecked.previous !== parent?.hash) return 'not-the-next';
  const electors = parent?.admins ?? unchecked.admins;
  if (!electors.some(admin => admin.key === unchecked.signer)) return 'not-an-admin';
  if (!verify(bytesOf(unchecked.signer), unchecked.body, unchecked.signature)) return 'bad-signature';

  const policyText = joinPolicy(
    unchecked.parts.flatMap(part => (part.text === undefined ? [] : [{ name: part.name, text: part.text }])),
  );
  try {
    const { policy } = parsePolicy(policyText, { file: `configuration ${unchecked.version}`, isSigned: true });
    return { ...unchecked, cluster, clusterName: policy.cluster, policy, policyText };
  } catch (error) {
    if (error instanceof PolicyError) return 'policy-unreadable';
    throw error;
  }
}

/** What an admin decides. The rest of a version follows from it. */
export interface ConfigurationContent {
  readonly members: readonly ConfigurationMember[];
  readonly admins: readonly Admin[];
  readonly revoked: readonly Revocation[];
  readonly archived: readonly ArchivedSource[];
  readonly forgotten: readonly ForgottenSource[];
  readonly released: readonly ObjectId[];
  readonly replaced: readonly Replacement[];
  readonly policyText: string;
}

/**
 * Signs the version after `parent`, or version 1.
 *
 * @throws ClusterError NOT_AN_ADMIN, CONFIG_TOO_LARGE, ARCHIVED_FULL, FORGOTTEN_FULL, REVOKED_FULL, REPLACED_FULL, POLICY_LAYOUT;
 *   PolicyError POLICY_INVALID
 */
export function signVersion(
  content: ConfigurationContent,
  {
    parent,
    signer,
    nowMs,
  }: { readonly parent: Configuration | undefined; readonly signer: Signer; readonly nowMs: number },
): Configuration {
  const signerKey = hexOf(signer.publicKey);
  if (!(parent?.admins ?? content.admins).some(admin => admin.key === signerKey)) {
    throw new ClusterError(
      'NOT_AN_ADMIN',
      "this host's admin key is not among the cluster's admins; nothing was changed",
      {
        blame: 'operator',
      },
    );
  }
  mustFit(content);
  // Floors are for people who change the policy: a version that revokes a host must not fail because of a text from
  // before there were floors.
  parsePolicy(content.policyText, { isSigned: true });
  // Unchanged pieces keep their text; pieces withheld from an admin host do not exist.
  const parts = splitPolicy(content.policyText).map(part => ({ ...part, bytes: Buffer.from(part.text) }));
  const body = signable(DOMAIN, [
    parent === undefined ? null : bytesOf(parent.cluster),
    (parent?.version ?? 0) + 1,
    parent === undefined ? null : bytesOf(parent.hash),
    nowMs,
    signer.publicKey,
    content.members.map(member => [
      bytesOf(member.host),
      member.name,
      publicKeyOf(member.peer),
      TRUSTS.indexOf(member.trust),
      STATES.indexOf(member.state),
      [...member.addresses],
      member.invite === undefined ? null : bytesOf(member.invite),
    ]),
    content.admins.map(admin => [bytesOf(admin.key), bytesOf(admin.host)]),
    parts.map(part => [part.name, hash(part.bytes)]),
    content.revoked.map(revocationFields),
    content.archived.map(({ source, copies }) => [source, copies]),
    ...laterFields(content),
  ]);
  const raw = encode([body, signer.sign(body), parts.map(part => [part.bytes])]);
  if (raw.length > VERSION_BYTES_MAX) {
    throw new ClusterError(
      'CONFIG_TOO_LARGE',
      `the new configuration has ${raw.length} bytes, at most ${VERSION_BYTES_MAX} are allowed; nothing was changed. Make the policy shorter, or let go of archived sources that nobody needs: ${HOW_TO_FORGET}`,
      { blame: 'operator' },
    );
  }
  // Read back by the code that every other host will use: nothing is signed that they would refuse.
  const unchecked = readVersion(raw);
  const checked = checkVersion(unchecked, { cluster: parent?.cluster ?? clusterIdOf(unchecked), parent });
  if (typeof checked === 'string') throw new Error(`bug: the version just signed is ${checked}`);
  return checked;
}

/** @throws ClusterError for what a person has brought about in many small steps; readers would call it malformed */
function mustFit({ archived, forgotten, revoked, replaced }: ConfigurationContent): void {
  const refuse = (code: string, text: string): never => {
    throw new ClusterError(code, text, { blame: 'operator' });
  };
  if (archived.length > ARCHIVED_MAX)
    refuse(
      'ARCHIVED_FULL',
      `${archived.length} sources would be archived, at most ${ARCHIVED_MAX} can be; nothing was changed, and all snapshots are kept. Let go of some that nobody needs: ${HOW_TO_FORGET}`,
    );
  if (forgotten.length > ARCHIVED_MAX)
    refuse(
      'FORGOTTEN_FULL',
      `${ARCHIVED_MAX} archived sources were forgotten, and no more can be: nothing was changed. The source stays archived, with its snapshots and their copies`,
    );
  for (const { host, heads } of revoked)
    if (heads.length > REVOKED_HEADS_MAX)
      refuse(
        'REVOKED_FULL',
        `host ${host} has ${heads.length} sources whose last heads would be written down, at most ${REVOKED_HEADS_MAX} can be; nothing was changed, and the host is still a member. Let go of its archived sources first: ${HOW_TO_FORGET}`,
      );
  if (replaced.length > REPLACED_MAX)
    refuse(
      'REPLACED_FULL',
      `${REPLACED_MAX} machines of this cluster were replaced, and no more can be: nothing was changed, and both machines are members as before. Give the new one the sources and stores of the old one in the policy, and revoke the old one`,
    );
  for (const { host, heads } of replaced)
    if (heads.length > REVOKED_HEADS_MAX)
      refuse(
        'REPLACED_FULL',
        `host ${host} has ${heads.length} sources whose last heads would be written down, at most ${REVOKED_HEADS_MAX} can be; nothing was changed, and both machines are members as before. Let go of its archived sources first: ${HOW_TO_FORGET}`,
      );
}

const revocationFields = ({ host, peer, heads }: Revocation): readonly unknown[] => [
  bytesOf(host),
  publicKeyOf(peer),
  heads.map(head => [head.source, head.seq, bytesOf(head.hash)]),
];

/** Those at the end are left out while they are empty, so that an earlier release can read the version. */
function laterFields({ forgotten, released, replaced }: ConfigurationContent): readonly (readonly unknown[])[] {
  if (forgotten.length + released.length + replaced.length === 0) return [];
  return [
    forgotten.map(({ source, seq }) => [source, seq]),
    released.map(snapshot => [bytesOf(snapshot)]),
    ...(replaced.length === 0
      ? []
      : [
          replaced.map(replacement => [
            ...revocationFields(replacement),
            replacement.invite === undefined ? null : bytesOf(replacement.invite),
          ]),
        ]),
  ];
}

/** The content to start an edit from. */
export const contentOf = (version: Configuration): ConfigurationContent => ({
  members: version.members,
  admins: version.admins,
  revoked: version.revoked,
  archived: version.archived,
  forgotten: version.forgotten,
  released: version.released,
  replaced: version.replaced,
  policyText: version.policyText,
});

/** The host that a version is made for. */
export interface Reader {
  readonly host: HostId;
  /** With which key, if the version may say that the machine that has it is another host. */
  readonly peer?: PeerName;
  readonly trust: Trust;
}

const mayRead = (name: PolicyPartName, version: UncheckedVersion, { host, peer, trust }: Reader): boolean =>
  trust === 'trusted' ||
  !name.startsWith('host:') ||
  version.members.some(member => (member.host === host || member.peer === peer) && name === `host:${member.name}`);

/** A version for a reader. An untrusted one gets members, the policy's frame (defaults, timing) and its own section. */
export function versionFor(version: UncheckedVersion, reader: Reader): Uint8Array {
  if (version.parts.every(({ name, text }) => text === undefined || mayRead(name, version, reader))) return version.raw;
  const texts = version.parts.map(({ name, text }) => [
    text !== undefined && mayRead(name, version, reader) ? Buffer.from(text) : null,
  ]);
  return encode([version.body, version.signature, texts]);
}

/** True when every piece that this reader may read is here. */
export const isWholeFor = (version: UncheckedVersion, reader: Reader): boolean =>
  version.parts.every(({ name, text }) => text !== undefined || !mayRead(name, version, reader));
