/**
 * Source history: the newest head of each source of this host, which only its origin may write.
 *
 * A head's seq must never go back or be used twice: it is fsynced here before anybody hears of it. `adopt` is for the
 * answers to the question that an origin asks its peers before signing: it may be running from an old image, and a peer
 * may remember a later head, which is this origin's own signed word.
 *
 * The machine that was this host before may have signed heads that are valid no more. What they list does not count, but
 * no number is used again: somebody may hold them. So a machine that goes on as a host begins far above the last valid
 * head; and where it hears of a void one that is above its own all the same, it signs its list again above that at once,
 * by which that number is as durable as its own.
 *
 * One file a source: `FOLDER/<source>.head`, the sealed bytes as they are sent. While that file is damaged nobody knows
 * which number was the last, and nothing is signed for the source. Once a person has moved the file away, the source
 * goes on as if it had no head. Driven by the daemon.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { assert, ClusterError, messageOf } from '../core/fault.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import { type Adoption, decideAdoption, listAgain, nextSeq } from '../core/own-heads.js';
import type { Signer } from '../core/signed.js';
import { fsyncFolder, writeDurable } from '../platform/durable.js';
import {
  compareListed,
  decodeHead,
  encodeHead,
  HEAD_SNAPSHOTS_MAX,
  type Head,
  headHash,
  type ListedSnapshot,
  verifyHead,
} from './head.js';
import { MalformedObject } from './malformed-object.js';
import { BadSignature, verifyWithOneOf } from './sealed-object.js';

export interface KnownHead {
  readonly head: Head;
  /** As it is stored and sent. */
  readonly sealed: Uint8Array;
  /** `headHash` of `sealed`. */
  readonly hash: string;
}

/** A snapshot to list; `firstSeq` is filled in when it is new. */
export type SnapshotToList = Omit<ListedSnapshot, 'firstSeq'>;

/** The fields of a head that its origin decides; the others follow. */
export interface HeadToSign {
  readonly snapshots: readonly SnapshotToList[];
  readonly unacceptedSinceMs: number | undefined;
}

/** What a head that names a source of this host is worth: whether its list and its number count, or only its number. */
export interface JudgedHead {
  readonly head: Head;
  readonly stands: boolean;
}

/**
 * @returns undefined for a head that this machine has signed while it was another host
 * @throws MalformedObject, BadSignature for what no machine that was this host has signed
 */
export type JudgeHead = (sealed: Uint8Array) => JudgedHead | undefined;

/** For a host that has had one key all along; or, for whoever only looks, with the keys that it had before. */
export const judgeBy =
  (...keys: readonly Uint8Array[]): JudgeHead =>
  sealed => ({ head: verifyWithOneOf(keys, key => verifyHead(sealed, key)), stands: true });

/** For a host that has had one key all along. */
const fromOne = (): number => 1;

const SUFFIX = '.head';
/** Other hosts believe no head that is further beyond the newest one they know. */
const VOID_JUMP_MAX = 2 ** 20;

const isNear = (one: Pick<Head, 'seq'>, known: Pick<Head, 'seq'>): boolean => one.seq - known.seq < VOID_JUMP_MAX - 1;

export class SourceHistory {
  readonly #folder: string;
  readonly #signer: Signer;
  readonly #judge: JudgeHead;
  readonly #leastSeq: (source: SourceId) => number;
  readonly #heads: Map<SourceId, KnownHead>;
  /** The highest numbers of heads that do not stand. */
  readonly #voidSeqs: Map<SourceId, number>;
  /** By file name. */
  readonly #damaged: Map<string, ClusterError>;
  /** The end of the last change to each source: changes to one source run one after the other. */
  readonly #changes = new Map<SourceId, Promise<unknown>>();

  private constructor(
    folder: string,
    signer: Signer,
    {
      judge,
      leastSeq,
      heads,
      voidSeqs,
      damaged,
    }: {
      readonly judge: JudgeHead;
      readonly leastSeq: (source: SourceId) => number;
      readonly heads: Map<SourceId, KnownHead>;
      readonly voidSeqs: Map<SourceId, number>;
      readonly damaged: Map<string, ClusterError>;
    },
  ) {
    this.#folder = folder;
    this.#signer = signer;
    this.#judge = judge;
    this.#leastSeq = leastSeq;
    this.#voidSeqs = voidSeqs;
    this.#heads = heads;
    this.#damaged = damaged;
  }

  /**
   * `folder` is made if necessary. `leastSeq`: the lowest number that this machine may give a head of the source. Default
   * of both: this host has had one key all along.
   */
  static async open({
    folder,
    signer,
    judge = judgeBy(signer.publicKey),
    leastSeq = fromOne,
  }: {
    readonly folder: string;
    readonly signer: Signer;
    readonly judge?: JudgeHead;
    readonly leastSeq?: (source: SourceId) => number;
  }): Promise<SourceHistory> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await fsyncFolder(folder);
    const heads = new Map<SourceId, KnownHead>();
    const voidSeqs = new Map<SourceId, number>();
    const damaged = new Map<string, ClusterError>();
    for (const name of await readdir(folder)) {
      if (!name.endsWith(SUFFIX)) continue; // left by a write that a crash interrupted
      try {
        const found = await readOwnHead(join(folder, name), judge);
        const { source, seq } = found?.known.head ?? {};
        if (found === undefined || source === undefined || seq === undefined) continue;
        if (found.stands) heads.set(source, found.known);
        else voidSeqs.set(source, seq);
      } catch (error) {
        // Whatever the error, even of the disk: it stops only this source, and nothing else from starting.
        if (!(error instanceof ClusterError)) throw error;
        damaged.set(name, error);
      }
    }
    return new SourceHistory(folder, signer, { judge, leastSeq, heads, voidSeqs, damaged });
  }

  /** HEAD_DAMAGED, while the file of the source exists and is damaged: then nothing is signed or adopted. */
  damage(source: SourceId): ClusterError | undefined {
    return this.#damageOf(fileOf(source));
  }

  /** Whether the file of any source is damaged, configured or not. */
  get isDamaged(): boolean {
    return [...this.#damaged.keys()].some(name => this.#damageOf(name) !== undefined);
  }

  head(source: SourceId): KnownHead | undefined {
    return this.#heads.get(source);
  }

  heads(): readonly KnownHead[] {
    return [...this.#heads.values()];
  }

  /**
   * Signs the next head, which lists exactly these snapshots; durable when this returns. @throws ClusterError
   * HEAD_FULL, HEAD_DAMAGED
   */
  publish(source: SourceId, { snapshots }: { readonly snapshots: readonly SnapshotToList[] }): Promise<KnownHead> {
    return this.#change(source, () => this.#publish(source, { snapshots, unacceptedSinceMs: undefined }));
  }

  /**
   * As `publish`, starting from the newest head when its turn comes: a head that is being adopted meanwhile loses
   * nothing.
   */
  relist(source: SourceId, change: (newest: Head | undefined) => HeadToSign): Promise<KnownHead> {
    return this.#change(source, () => this.#publish(source, change(this.#heads.get(source)?.head)));
  }

  /**
   * Takes a head of this source that a peer remembers. What this host's head lists and a later one does not is listed
   * again, in the same write: a crash between two writes would lose it.
   *
   * @param again picks, from what the later head no longer lists, what to list again; if nothing, that head is taken as
   * it is. Default: all
   * @throws MalformedObject, BadSignature when it is not this origin's word; ClusterError HEAD_DAMAGED
   * @returns `older` also for a head that does not stand: only its number is not used again
   */
  adopt(
    source: SourceId,
    sealed: Uint8Array,
    again: (head: Head, unlisted: readonly ListedSnapshot[]) => readonly ListedSnapshot[] = (_, unlisted) => unlisted,
  ): Promise<Adoption<ListedSnapshot>> {
    return this.#change(source, async () => {
      const judged = this.#judge(sealed);
      assert(judged?.head.source === source, `a head of another source was handed in as one of ${source}`);
      const { head, stands } = judged;
      const own = this.#heads.get(source);
      if (!stands) {
        this.#voidSeqs.set(source, Math.max(head.seq, this.#voidSeqs.get(source) ?? 0));
        // The list of a machine before this one may be an old one.
        if (own !== undefined && this.#isOurs(own) && head.seq >= own.head.seq && isNear(head, own.head))
          await this.#publish(source, { snapshots: own.head.snapshots, unacceptedSinceMs: own.head.unacceptedSinceMs });
        return { kind: 'older' };
      }
      const found: KnownHead = { head, sealed, hash: headHash(sealed) };
      const adoption = decideAdoption(own === undefined ? undefined : { ...own.head, hash: own.hash }, {
        ...head,
        hash: found.hash,
      });
      const unacceptedSinceMs = own?.head.unacceptedSinceMs ?? head.unacceptedSinceMs;
      if (adoption.kind === 'adopted') {
        const unlisted = again(head, adoption.unlisted);
        const snapshots = listAgain(head.snapshots, unlisted);
        if (unlisted.length === 0) await this.#keep(found);
        else await this.#publish(source, { snapshots, unacceptedSinceMs }, found);
      }
      if (adoption.kind === 'forked') await this.#publish(source, { snapshots: adoption.union, unacceptedSinceMs });
      return adoption;
    });
  }

  /** `own`: the head that the new one follows. */
  async #publish(
    source: SourceId,
    { snapshots, unacceptedSinceMs }: HeadToSign,
    own = this.#heads.get(source),
  ): Promise<KnownHead> {
    if (snapshots.length > HEAD_SNAPSHOTS_MAX) {
      throw new ClusterError(
        'HEAD_FULL',
        `source ${splitSourceId(source).source} has ${snapshots.length} snapshots, and at most ${HEAD_SNAPSHOTS_MAX} can be listed: unlist some by 'cluster forget' or a smaller \`keep\` in its policy; all listed ones stay listed`,
        { blame: 'operator' },
      );
    }
    const seq = this.#nextSeq(source, own?.head);
    const firstSeqs = new Map(own?.head.snapshots.map(({ id, firstSeq }) => [id, firstSeq]));
    const listed = snapshots.map(
      ({ id, timeMs, complete }): ListedSnapshot => ({ id, timeMs, complete, firstSeq: firstSeqs.get(id) ?? seq }),
    );
    const head: Head = {
      source,
      seq,
      previous: own?.hash,
      snapshots: listed.sort(compareListed),
      ...(unacceptedSinceMs === undefined ? {} : { unacceptedSinceMs }),
    };
    const sealed = encodeHead(head, this.#signer);
    const known: KnownHead = { head: decodeHead(sealed), sealed, hash: headHash(sealed) };
    await this.#keep(known);
    return known;
  }

  #nextSeq(source: SourceId, own: Head | undefined): number {
    const next = Math.max(nextSeq(own), this.#leastSeq(source));
    const seq = this.#voidSeqs.get(source) ?? 0;
    return seq >= next && isNear({ seq }, { seq: next }) ? seq + 1 : next;
  }

  /** True for a head that is signed with the key that this machine has. */
  #isOurs({ sealed }: KnownHead): boolean {
    try {
      return verifyHead(sealed, this.#signer.publicKey).seq > 0;
    } catch (error) {
      if (error instanceof BadSignature) return false;
      throw error;
    }
  }

  async #keep(known: KnownHead): Promise<void> {
    await writeDurable(join(this.#folder, fileOf(known.head.source)), known.sealed);
    this.#heads.set(known.head.source, known);
  }

  #damageOf(name: string): ClusterError | undefined {
    const damage = this.#damaged.get(name);
    if (damage === undefined || existsSync(join(this.#folder, name))) return damage;
    this.#damaged.delete(name);
    return undefined;
  }

  #change<T>(source: SourceId, change: () => Promise<T>): Promise<T> {
    // A failed change was reported to its own caller; the next one runs all the same.
    const before = this.#changes.get(source)?.catch(() => undefined) ?? Promise.resolve();
    const after = before.then(() => {
      const damage = this.damage(source);
      if (damage !== undefined) throw damage;
      return change();
    });
    this.#changes.set(source, after);
    return after;
  }
}

/** @throws ClusterError HEAD_DAMAGED, whatever is wrong with the file or its disk */
async function readOwnHead(
  path: string,
  judge: JudgeHead,
): Promise<{ readonly known: KnownHead; readonly stands: boolean } | undefined> {
  try {
    const sealed = await readFile(path);
    const judged = judge(sealed);
    if (judged === undefined) return undefined;
    const { head, stands } = judged;
    if (fileOf(head.source) !== basename(path))
      throw new MalformedObject(`it is a head of ${head.source}, not of the source that the file is named after`);
    return { known: { head, sealed, hash: headHash(sealed) }, stands };
  } catch (cause) {
    throw headDamaged(path, cause);
  }
}

/**
 * The newest head of a source of this host, for whoever only looks; `undefined` when there is none.
 * @throws ClusterError HEAD_DAMAGED
 */
export async function lookAtOwnHead(
  folder: string,
  source: SourceId,
  judge: JudgeHead,
): Promise<KnownHead | undefined> {
  const path = join(folder, fileOf(source));
  const found = existsSync(path) ? await readOwnHead(path, judge) : undefined;
  return found?.stands === true ? found.known : undefined;
}

const fileOf = (source: SourceId): string => `${splitSourceId(source).source}${SUFFIX}`;

function headDamaged(path: string, cause: unknown): ClusterError {
  const why = messageOf(cause);
  return new ClusterError(
    'HEAD_DAMAGED',
    `${path} is damaged (${why}): it says which snapshots are listed, and under which number, which must not be used twice. Until this is resolved, no snapshot of this source is taken or unlisted; all are kept, and the other sources go on. Switch on all other hosts and mount the missing stores, because they remember the list; then move the file away: the source continues from the newest list that they, or the catalog here, have`,
    { blame: 'operator', cause },
  );
}
