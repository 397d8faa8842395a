/**
 * Config store: the chain of configuration versions that this host has, in `STATE/config/`.
 *
 * One file a version, named `<version>-<hash>.version`, and `current`, which names the newest one in use. A version is
 * in use only once its file and then `current` are durable, so a crash leaves the old or the new state and never half.
 * The version never goes back, except for the one case below. Everything is verified again, from the cluster's id up,
 * at each start.
 *
 * Forks: when two admins who are apart sign a successor of the same version, every host that sees both takes the same
 * branch (core/config-fork.ts) at the earliest fork, however long the branches are; so after a lost fork the number may
 * be lower than before. Lost versions are kept in `lost/`, with their policy as plain YAML, and reported until an
 * operator removes them. Hosts that they revoked stay shut out here (`standing`) until an admin host has written that
 * into the chain, which it does on its own. A lost branch may go on elsewhere, to a version that makes it win: then
 * this host takes it from there.
 *
 * A verified version that the disk refuses is not in use, but whom it revokes is shut out from that moment on: a full
 * disk must not keep a stolen machine in. It is kept in memory, and tried again (`hear`, `writeUnwritten`).
 *
 * Driven by membership.ts. One operation at a time.
 */
import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ConfigMark } from '../core/cluster-config.js';
import { type ForkedVersion, goesBefore } from '../core/config-fork.js';
import { ClusterError } from '../core/fault.js';
import { type ClusterId, parseClusterId } from '../core/ids.js';
import { fsyncFolder, readIfThere, writeDurable } from '../platform/durable.js';
import {
  type Configuration,
  checkVersion,
  isWholeFor,
  type Reader,
  type Revocation,
  readVersion,
  shutOutBy,
  type UncheckedVersion,
  type VersionRefusal,
} from './configuration.js';
import { withRevoked } from './content-change.js';
import { isMalformed } from './fields.js';
import { joinPolicy } from './policy-parts.js';

export type Acceptance =
  | { readonly kind: 'accepted'; readonly configuration: Configuration }
  /** It is in the chain already, or lost a fork before and still does. */
  | { readonly kind: 'known' }
  /** The version before it is not in this chain: ask from further back, or it follows a branch that lost. */
  | { readonly kind: 'gap' }
  /** Its branch beat this host's, which is in `lost/` from the fork on. */
  | { readonly kind: 'fork-won'; readonly configuration: Configuration; readonly lost: readonly LostVersion[] }
  /** Its branch is a rival of this host's, which stays. */
  | { readonly kind: 'fork-lost'; readonly lost: LostVersion }
  | { readonly kind: 'refused'; readonly because: VersionRefusal | 'withheld' };

/** What becomes of a version from a peer. */
export type Hearing =
  | Acceptance
  /** It is as it should be, but the disk does not take it. `isNews`: that was not known of it. */
  | { readonly kind: 'unwritten'; readonly isNews: boolean; readonly error: Error };

interface Unwritten {
  readonly version: UncheckedVersion;
  /** It would be in use; else it would be kept as one that lost a fork. */
  readonly wins: boolean;
}

/** How many versions are kept in memory while the disk takes none: more changes than an operator makes in such a time. */
const UNWRITTEN_MAX = 64;

export interface LostVersion {
  readonly version: number;
  readonly hash: string;
  /** The file with the policy's text, for people. */
  readonly policyPath: string;
  /** The admin key that signed it, 64 hex digits. */
  readonly signer: string;
  /** Those that the version before it did not have … */
  readonly revoked: readonly Revocation[];
  /** … and the machines in whose place it put others. */
  readonly replaced: readonly Revocation[];
}

/**
 * Marks that describe a whole chain: its newest version, then ever further back. Enough for any chain that a number can
 * count, and for the lost branches, the longest first.
 */
export const MARKS_MAX = 64;

const currentFile = z.strictObject({
  cluster: z.string().regex(/^[0-9a-f]{32}$/),
  version: z.int().min(1),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});

const CURRENT = 'current';
const FOLDER_MODE = 0o700;
const VERSION_FILE = /^(\d{8,16})-([0-9a-f]{64})\.version$/;

const folderOf = (stateDir: string): string => join(stateDir, 'config');
const fileOf = ({ version, hash }: ConfigMark): string => `${String(version).padStart(8, '0')}-${hash}.version`;

/** The version that this one follows; undefined for the first. */
const before = ({ version, previous }: UncheckedVersion): ConfigMark | undefined =>
  previous === undefined ? undefined : { version: version - 1, hash: previous };

/** True when this state folder belongs to a cluster, whether its files are whole or damaged. */
export const hasCluster = (stateDir: string): boolean => readIfThere(join(folderOf(stateDir), CURRENT)) !== undefined;

/** What was found in `STATE/config`, for reading alone. */
export type ConfigLook = Pick<ConfigStore, 'current' | 'standing' | 'lost' | 'shutOut' | 'latestSignedMs'>;

export class ConfigStore {
  readonly cluster: ClusterId;
  readonly #folder: string;
  /** The hash of version n is at n − 1. */
  readonly #hashes: string[] = [];
  readonly #lost: LostVersion[] = [];
  /** Oldest first. */
  #unwritten: readonly Unwritten[] = [];
  #current: Configuration | undefined;
  #latestSignedMs = 0;
  #committed: boolean;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(stateDir: string, cluster: ClusterId, committed: boolean) {
    this.cluster = cluster;
    this.#folder = folderOf(stateDir);
    this.#committed = committed;
  }

  /**
   * A store for a cluster that this host is about to found or join. Versions are written as they are accepted, but the
   * state folder belongs to no cluster until `commit`; a failed try leaves nothing that counts.
   *
   * @throws ClusterError ALREADY_IN_CLUSTER
   */
  static async begin(stateDir: string, cluster: ClusterId): Promise<ConfigStore> {
    if (hasCluster(stateDir)) {
      throw new ClusterError(
        'ALREADY_IN_CLUSTER',
        `${stateDir} belongs to a cluster already; nothing was changed. Use another --state for another cluster`,
        {
          blame: 'operator',
        },
      );
    }
    await mkdir(join(folderOf(stateDir), 'lost'), { recursive: true, mode: FOLDER_MODE });
    return new ConfigStore(stateDir, cluster, false);
  }

  /** For the service, which alone writes there. @throws ClusterError NO_CLUSTER, CONFIG_DAMAGED */
  static open(stateDir: string): Promise<ConfigStore> {
    return ConfigStore.#read(stateDir, store => store.#tidy());
  }

  /** As `open`, and changes nothing: for whoever looks while the service may write. */
  static look(stateDir: string): Promise<ConfigLook> {
    return ConfigStore.#read(stateDir);
  }

  /** @param verified called when the chain is known, before the lost versions are looked for */
  static async #read(stateDir: string, verified?: (store: ConfigStore) => Promise<void>): Promise<ConfigStore> {
    const folder = folderOf(stateDir);
    const bytes = readIfThere(join(folder, CURRENT));
    if (bytes === undefined) {
      const { length } = await listVersions(folder);
      if (length === 0) throw noCluster(stateDir);
      // Either a `join` was not finished or `current` was lost: which of the two cannot be told from here.
      throw new ClusterError(
        'NO_CLUSTER',
        `${join(folder, CURRENT)} is missing: either a join did not finish or the file was lost. The ${length} versions beside it were kept. Join again, or copy this folder from another trusted member`,
        { blame: 'operator' },
      );
    }
    const current = readCurrent(folder, bytes);
    const store = new ConfigStore(stateDir, parseClusterId(current.cluster), true);
    await store.#verify(current);
    await verified?.(store);
    await store.#findLost();
    return store;
  }

  /** The newest version in use. @throws Error before the first was accepted. */
  get current(): Configuration {
    if (this.#current === undefined) throw new Error('bug: no configuration has been accepted yet');
    return this.#current;
  }

  /** The latest time that an admin has signed: a clock that is earlier is wrong. */
  get latestSignedMs(): number {
    return this.#latestSignedMs;
  }

  /**
   * Machines that versions which lost a fork have revoked or replaced, and the version in use has not. Versions signed
   * by keys that are no longer an admin's do not count: whoever has such a key could shut out everybody by a branch
   * that cannot win.
   *
   * A machine that was to be replaced counts as revoked, for its key must stay shut out, and the one that was to take
   * its place may be another host by now: in no branch are there two machines for one host.
   */
  get shutOut(): readonly Revocation[] {
    const { admins } = this.current;
    const lost = this.lost.filter(({ signer }) => admins.some(({ key }) => key === signer));
    return moreShutOut(lost, shutOutBy(this.current));
  }

  /** The version in use, with the hosts revoked as well that are shut out, also by what could not be written yet. */
  get standing(): Configuration {
    const { shutOut } = this;
    const { admins } = this.current;
    const counted = this.#unwritten.filter(
      ({ version, wins }) => wins || admins.some(({ key }) => key === version.signer),
    );
    const unwritten = counted.map(({ version }) => version);
    return withRevoked(this.current, [...shutOut, ...moreShutOut(unwritten, [...shutOutBy(this.current), ...shutOut])]);
  }

  /** Verified versions that the disk has not taken yet: their numbers, for an alarm. */
  get unwritten(): readonly number[] {
    return this.#unwritten.map(({ version }) => version.version);
  }

  /** Versions that lost a fork, for alarms. */
  get lost(): readonly LostVersion[] {
    return this.#lost.filter(version => !this.has(version));
  }

  /** Marks of this chain: the newest, then steps back that double, then the first. */
  marks(): readonly ConfigMark[] {
    const marks: ConfigMark[] = [];
    const newest = this.#hashes.length;
    for (let back = 0; back < newest; back = back === 0 ? 1 : back * 2) marks.push(this.#mark(newest - back));
    if (newest > 1 && marks.at(-1)?.version !== 1) marks.push(this.#mark(1));
    return marks;
  }

  /**
   * The newest version of each lost branch that is kept all the way down to this chain, the longest branch first. Later
   * versions may make it win; then a host on that branch continues from there.
   */
  async lostMarks(): Promise<readonly ConfigMark[]> {
    const tips = new Map<string, ConfigMark>();
    const grounded = new Set<string>();
    for (const mark of [...this.lost].sort((a, b) => a.version - b.version)) {
      const lost = await this.#loadLost(mark);
      const below = lost === undefined ? undefined : before(lost);
      if (lost === undefined || below === undefined || !(this.has(below) || grounded.has(below.hash))) continue;
      grounded.add(lost.hash);
      tips.delete(below.hash);
      tips.set(lost.hash, { version: lost.version, hash: lost.hash });
    }
    return [...tips.values()].sort((a, b) => b.version - a.version);
  }

  /** True for a version of this chain. */
  has({ version, hash }: ConfigMark): boolean {
    return this.#hashes[version - 1] === hash;
  }

  /** The newest version that this chain has in common with one described by its marks; 0 for none. */
  commonWith(marks: readonly ConfigMark[]): number {
    return Math.max(0, ...marks.filter(mark => this.has(mark)).map(mark => mark.version));
  }

  /**
   * Versions after `version`, oldest first: at most `countMax`, and at most `bytesMax` in all, but always one.
   * As received: parts that were withheld from this host are missing in them too.
   */
  async from(
    version: number,
    { countMax, bytesMax }: { readonly countMax: number; readonly bytesMax: number },
  ): Promise<readonly UncheckedVersion[]> {
    const found: UncheckedVersion[] = [];
    let sumBytes = 0;
    for (let next = version + 1; next <= this.#hashes.length && found.length < countMax; next++) {
      const loaded = await this.#load(this.#mark(next));
      sumBytes += loaded.raw.length;
      if (found.length > 0 && sumBytes > bytesMax) break;
      found.push(loaded);
    }
    return found;
  }

  /**
   * Takes in a version from a peer or from this host's own admin. `reader` says which parts may be missing from it.
   * Returns once the version is durable.
   */
  accept(raw: Uint8Array, reader: Reader): Promise<Acceptance> {
    return this.#alone(() => this.#accept(raw, reader));
  }

  /** As `accept`, for a version from a peer: what it revokes counts even if the disk refuses it. */
  hear(raw: Uint8Array, reader: Reader): Promise<Hearing> {
    return this.#alone(() => this.#hear(raw, reader));
  }

  /** Tries again what could not be written. True when some of it could. @throws the disk's error when none could */
  async writeUnwritten(reader: Reader): Promise<boolean> {
    return await this.#alone(async () => {
      const before = this.#unwritten;
      for (const { version } of before) {
        const hearing = await this.#hear(version.raw, reader);
        if (hearing.kind !== 'unwritten') continue;
        if (this.#unwritten.length === before.length) throw hearing.error;
        break;
      }
      return before.length > 0;
    });
  }

  /** From here on the state folder belongs to the cluster. */
  async commit(): Promise<void> {
    await this.#alone(async () => {
      this.#committed = true;
      await this.#point(this.current);
    });
  }

  /** One operation at a time; a failure is reported only to its own caller. */
  #alone<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(operation);
    this.#turn = result.catch(() => undefined); // reported to its caller through `result`
    return result;
  }

  async #hear(raw: Uint8Array, reader: Reader): Promise<Hearing> {
    let refused: Unwritten | undefined;
    try {
      return await this.#accept(raw, reader, writing => {
        refused = writing;
      });
    } catch (error) {
      if (refused === undefined || !(error instanceof Error) || error instanceof ClusterError) throw error;
      const { hash } = refused.version;
      const isNews = !this.#unwritten.some(({ version }) => version.hash === hash);
      if (isNews && this.#unwritten.length >= UNWRITTEN_MAX) throw error;
      if (isNews) this.#unwritten = [...this.#unwritten, refused];
      return { kind: 'unwritten', isNews, error };
    } finally {
      // Also those that came with this one.
      const isKept = (mark: ConfigMark): boolean => this.has(mark) || this.#lost.some(({ hash }) => hash === mark.hash);
      this.#unwritten = this.#unwritten.filter(({ version }) => !isKept(version));
    }
  }

  /** @param onWriting called when all is verified and is about to be written */
  async #accept(
    raw: Uint8Array,
    reader: Reader,
    onWriting: (version: Unwritten) => void = () => {},
  ): Promise<Acceptance> {
    let unchecked: UncheckedVersion;
    try {
      unchecked = readVersion(raw);
    } catch (error) {
      if (isMalformed(error)) return { kind: 'refused', because: 'malformed' };
      throw error;
    }
    if (this.has(unchecked)) return { kind: 'known' };
    const newest = this.#hashes.length;
    const lost = await this.#lostBefore(unchecked);
    const [first = unchecked] = lost;
    if (first.version > newest + 1 || (first.version > 1 && this.#hashes[first.version - 2] !== first.previous)) {
      return { kind: 'gap' };
    }
    const ground = first.version === newest + 1 ? this.#current : await this.#loadBefore(first);
    const parent = lost.at(-1) ?? ground;
    const checked = checkVersion(unchecked, { cluster: this.cluster, parent });
    if (typeof checked === 'string') return { kind: 'refused', because: checked };
    if (!isWholeFor(checked, reader)) return { kind: 'refused', because: 'withheld' };
    if (checked.version === newest + 1 && lost.length === 0) {
      onWriting({ version: checked, wins: true });
      await this.#take(checked);
      return { kind: 'accepted', configuration: checked };
    }
    // A second version 1 would have another cluster id, so every rival has a parent.
    if (ground === undefined) return { kind: 'refused', because: 'other-cluster' };
    const chains = { ground, ours: await this.#chainFrom(first.version), rival: [...lost, checked] };
    onWriting({ version: checked, wins: rivalWins(chains) });
    return await this.#settle(chains);
  }

  /**
   * Replaces this host's branch by the rival one, or keeps the rival's versions in `lost/`, where those before the last
   * mostly are already.
   */
  async #settle(chains: Chains): Promise<Acceptance> {
    const { ground, ours, rival } = chains;
    const newest = rival.at(-1);
    if (newest === undefined) throw new Error('bug: a branch without a version');
    if (!rivalWins(chains)) {
      if ((await this.#loadLost(newest)) !== undefined) return { kind: 'known' };
      for (const version of rival.slice(0, -1))
        if ((await this.#loadLost(version)) === undefined) await this.#keepLost(version);
      return { kind: 'fork-lost', lost: await this.#keepLost(newest) };
    }
    const losers: LostVersion[] = [];
    for (const version of ours) losers.push(await this.#keepLost(version));
    let parent = ground;
    for (const version of rival) {
      const configuration = checkVersion(version, { cluster: this.cluster, parent });
      if (typeof configuration === 'string') throw new Error(`bug: a version that was kept is ${configuration}`);
      await this.#take(configuration);
      parent = configuration;
    }
    return { kind: 'fork-won', configuration: this.current, lost: losers };
  }

  /** Makes the version durable first, and then uses it. */
  async #take(configuration: Configuration): Promise<void> {
    await writeDurable(join(this.#folder, fileOf(configuration)), configuration.raw);
    if (this.#committed) await this.#point(configuration);
    this.#hashes.splice(configuration.version - 1, Number.POSITIVE_INFINITY, configuration.hash);
    this.#current = configuration;
    this.#latestSignedMs = Math.max(this.#latestSignedMs, configuration.signedMs);
  }

  async #point({ version, hash }: ConfigMark): Promise<void> {
    await writeDurable(join(this.#folder, CURRENT), `${JSON.stringify({ cluster: this.cluster, version, hash })}\n`);
  }

  async #keepLost(version: UncheckedVersion): Promise<LostVersion> {
    const folder = join(this.#folder, 'lost');
    const name = fileOf(version);
    const policyPath = join(folder, `${name}.yaml`);
    const texts = version.parts.flatMap(({ name: part, text }) => (text === undefined ? [] : [{ name: part, text }]));
    await writeDurable(policyPath, joinPolicy(texts));
    await writeDurable(join(folder, name), version.raw);
    const lost = await this.#lostVersion(version, policyPath);
    if (!this.#lost.some(({ hash }) => hash === lost.hash)) this.#lost.push(lost);
    return lost;
  }

  async #lostVersion(lost: UncheckedVersion, policyPath: string): Promise<LostVersion> {
    const { version, hash, signer } = lost;
    const mark = before(lost);
    const parent = mark === undefined ? undefined : ((await this.#loadLost(mark)) ?? (await this.#loadOurs(mark)));
    const known = new Set(parent && shutOutBy(parent).map(({ peer }) => peer));
    const isNew = ({ peer }: Revocation): boolean => !known.has(peer);
    return {
      version,
      hash,
      policyPath,
      signer,
      revoked: lost.revoked.filter(isNew),
      replaced: lost.replaced.filter(isNew),
    };
  }

  /** Finds the versions that lost a fork before this start. For a damaged one only its policy is reported. */
  async #findLost(): Promise<void> {
    const found = await listLost(this.#folder);
    this.#lost.push(
      ...found.map(({ mark, policyPath }) => ({ ...mark, policyPath, signer: '', revoked: [], replaced: [] })),
    );
    for (const [n, { mark, policyPath }] of found.entries()) {
      const version = await this.#loadLost(mark);
      if (version !== undefined) this.#lost[n] = await this.#lostVersion(version, policyPath);
    }
  }

  /**
   * A version that lost; undefined when it did not, or was removed or damaged since. It is kept again when it comes
   * again.
   */
  async #loadLost(mark: ConfigMark): Promise<UncheckedVersion | undefined> {
    if (!this.#lost.some(({ hash }) => hash === mark.hash)) return undefined;
    try {
      return await this.#load(mark, join(this.#folder, 'lost'));
    } catch (error) {
      if (error instanceof ClusterError) return undefined;
      throw error;
    }
  }

  /** A version of this chain; undefined for any other. */
  async #loadOurs(mark: ConfigMark): Promise<UncheckedVersion | undefined> {
    return this.has(mark) ? await this.#load(mark) : undefined;
  }

  /**
   * The versions before this one that are not in this chain, because they have lost or could not be written, oldest
   * first, as far down as they are here: down to this chain if none is missing.
   */
  async #lostBefore(version: UncheckedVersion): Promise<readonly UncheckedVersion[]> {
    const lost: UncheckedVersion[] = [];
    for (let mark = before(version); mark !== undefined && !this.has(mark); ) {
      const { hash } = mark;
      const below =
        (await this.#loadLost(mark)) ?? this.#unwritten.find(({ version }) => version.hash === hash)?.version;
      if (below === undefined) break;
      lost.unshift(below);
      mark = before(below);
    }
    return lost;
  }

  /** This chain from that version on. */
  async #chainFrom(version: number): Promise<readonly UncheckedVersion[]> {
    const marks = this.#hashes.slice(version - 1).map((hash, n) => ({ version: version + n, hash }));
    return await Promise.all(marks.map(mark => this.#load(mark)));
  }

  #mark(version: number): ConfigMark {
    const hash = this.#hashes[version - 1];
    if (hash === undefined) throw new Error(`bug: version ${version} is not in the chain`);
    return { version, hash };
  }

  /** A version of this chain, checked by its own hash alone. @throws ClusterError CONFIG_DAMAGED */
  async #load(mark: ConfigMark, folder = this.#folder): Promise<UncheckedVersion> {
    const path = join(folder, fileOf(mark));
    try {
      const loaded = readVersion(await readFile(path));
      if (loaded.hash === mark.hash && loaded.version === mark.version) return loaded;
    } catch (cause) {
      throw damaged(this.#folder, `version ${mark.version} (${fileOf(mark)}) is missing or damaged`, cause);
    }
    throw damaged(this.#folder, `${fileOf(mark)} holds another version than its name says`);
  }

  async #loadBefore({ version }: UncheckedVersion): Promise<UncheckedVersion | undefined> {
    return version === 1 ? undefined : await this.#load(this.#mark(version - 1));
  }

  /** First down from `current`, by the hashes that each version names, to learn the chain; then up, to verify it. */
  async #verify(current: ConfigMark): Promise<void> {
    let below: ConfigMark | undefined = current;
    while (below !== undefined) {
      this.#hashes[below.version - 1] = below.hash;
      below = before(await this.#load(below));
    }
    let parent: Configuration | undefined;
    for (let version = 1; version <= current.version; version++) {
      const checked = checkVersion(await this.#load(this.#mark(version)), { cluster: this.cluster, parent });
      if (typeof checked === 'string') throw damaged(this.#folder, `version ${version} is refused: ${checked}`);
      this.#latestSignedMs = Math.max(this.#latestSignedMs, checked.signedMs);
      parent = checked;
    }
    this.#current = parent;
  }

  /** Tidies after a crash: versions to which `current` does not lead are moved to `lost/`, never removed. */
  async #tidy(): Promise<void> {
    const strays = (await listVersions(this.#folder)).filter(mark => !this.has(mark));
    if (strays.length === 0) return;
    await mkdir(join(this.#folder, 'lost'), { recursive: true, mode: FOLDER_MODE });
    for (const stray of strays)
      await rename(join(this.#folder, fileOf(stray)), join(this.#folder, 'lost', fileOf(stray)));
    await fsyncFolder(join(this.#folder, 'lost'));
    await fsyncFolder(this.#folder);
  }
}

/** A version as forks are decided by. */
const forked = (version: UncheckedVersion): ForkedVersion => ({ ...version, revoked: shutOutBy(version) });

/** The last version that both have, and what each has after it. */
interface Chains {
  readonly ground: UncheckedVersion;
  readonly ours: readonly UncheckedVersion[];
  readonly rival: readonly UncheckedVersion[];
}

const rivalWins = ({ ground, ours, rival }: Chains): boolean =>
  goesBefore({ ground: forked(ground), ours: ours.map(forked), rival: rival.map(forked) });

type ShutOut = Parameters<typeof shutOutBy>[0];

/** Whom these versions shut out besides the known ones. */
function moreShutOut(versions: readonly ShutOut[], known: readonly Revocation[]): readonly Revocation[] {
  const peers = new Set(known.map(({ peer }) => peer));
  const found = versions.flatMap(version => shutOutBy(version).filter(({ peer }) => !peers.has(peer)));
  return [...new Map(found.map(({ host, peer, heads }) => [peer, { host, peer, heads }])).values()];
}

function readCurrent(folder: string, bytes: Buffer): z.output<typeof currentFile> {
  try {
    return currentFile.parse(JSON.parse(bytes.toString('utf8')));
  } catch (cause) {
    throw damaged(folder, `${CURRENT} is not whole`, cause);
  }
}

async function listVersions(folder: string): Promise<readonly ConfigMark[]> {
  return (await names(folder)).flatMap(name => {
    const [, version, hash] = VERSION_FILE.exec(name) ?? [];
    return version === undefined || hash === undefined ? [] : [{ version: Number(version), hash }];
  });
}

async function listLost(
  folder: string,
): Promise<readonly { readonly mark: ConfigMark; readonly policyPath: string }[]> {
  // Only versions that lost a fork have their policy beside them; those that a crash left behind do not.
  return (await names(join(folder, 'lost'))).flatMap(name => {
    const [, version, hash] = VERSION_FILE.exec(name.replace(/\.yaml$/, '')) ?? [];
    const isPolicy = name.endsWith('.yaml');
    return version === undefined || hash === undefined || !isPolicy
      ? []
      : [{ mark: { version: Number(version), hash }, policyPath: join(folder, 'lost', name) }];
  });
}

async function names(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

function damaged(folder: string, what: string, cause?: unknown): ClusterError {
  return new ClusterError(
    'CONFIG_DAMAGED',
    `${folder}: ${what}. Every file was kept as it is. Copy this folder from another trusted member (it is the same on all of them), then start again`,
    { blame: 'operator', cause },
  );
}

function noCluster(stateDir: string): ClusterError {
  return new ClusterError(
    'NO_CLUSTER',
    `no cluster in ${stateDir}; nothing was changed. Begin with \`cluster init\` or \`cluster join TOKEN\`, or name its state folder with --state`,
    {
      blame: 'operator',
    },
  );
}
