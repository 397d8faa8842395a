/**
 * Source history: the newest head of each source of this host, which only its origin may write.
 *
 * A head's seq must never go back or be given twice: it is fsynced here before anybody hears of it. `adopt` is for the
 * question that an origin asks its peers before signing: it may be running from an old image, and a peer may remember a
 * later head, which is this origin's own signed word.
 *
 * One file a source: `FOLDER/<source>.head`, the sealed bytes as they are sent. Driven by the daemon.
 */
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assert, ClusterError } from '../core/fault.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import { type Adoption, decideAdoption, nextSeq } from '../core/own-heads.js';
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

export interface KnownHead {
  readonly head: Head;
  /** As it is stored and sent. */
  readonly sealed: Uint8Array;
  /** `headHash` of `sealed`. */
  readonly hash: string;
}

/** A snapshot to list; `firstSeq` is filled in where it is new. */
export type SnapshotToList = Omit<ListedSnapshot, 'firstSeq'>;

/** What its origin decides of a head; the rest follows. */
export interface HeadToSign {
  readonly snapshots: readonly SnapshotToList[];
  readonly unacceptedSinceMs: number | undefined;
}

const SUFFIX = '.head';

export class SourceHistory {
  readonly #folder: string;
  readonly #signer: Signer;
  readonly #heads: Map<SourceId, KnownHead>;
  /** The end of the last change to each source: changes of one source go one after the other. */
  readonly #changes = new Map<SourceId, Promise<unknown>>();

  private constructor(folder: string, signer: Signer, heads: Map<SourceId, KnownHead>) {
    this.#folder = folder;
    this.#signer = signer;
    this.#heads = heads;
  }

  /**
   * `folder` is made if need be. Signatures of what lies there are not checked: a replaced host key may have made them.
   * @throws ClusterError HEAD_DAMAGED when a file there is no head: nothing may be signed before that is understood.
   */
  static async open({ folder, signer }: { readonly folder: string; readonly signer: Signer }): Promise<SourceHistory> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await fsyncFolder(folder);
    const heads = new Map<SourceId, KnownHead>();
    for (const name of await readdir(folder)) {
      if (!name.endsWith(SUFFIX)) continue; // what a crash left of a write beside
      const path = join(folder, name);
      const sealed = await readFile(path);
      const head = readHead(path, sealed);
      if (`${splitSourceId(head.source).source}${SUFFIX}` !== name)
        throw damaged(path, new Error(`it is a head of ${head.source}`));
      heads.set(head.source, { head, sealed, hash: headHash(sealed) });
    }
    return new SourceHistory(folder, signer, heads);
  }

  head(source: SourceId): KnownHead | undefined {
    return this.#heads.get(source);
  }

  heads(): readonly KnownHead[] {
    return [...this.#heads.values()];
  }

  /** Signs the next head, which lists exactly these; durable when this returns. @throws ClusterError HEAD_FULL */
  publish(source: SourceId, { snapshots }: { readonly snapshots: readonly SnapshotToList[] }): Promise<KnownHead> {
    return this.#change(source, () => this.#publish(source, { snapshots, unacceptedSinceMs: undefined }));
  }

  /** The same, from what the newest head says when its turn comes: a head that is being adopted now loses nothing. */
  relist(source: SourceId, change: (newest: Head | undefined) => HeadToSign): Promise<KnownHead> {
    return this.#change(source, () => this.#publish(source, change(this.#heads.get(source)?.head)));
  }

  /**
   * Takes a head of this source that a peer remembers. @throws MalformedObject, BadSignature when it is not this origin's word.
   */
  adopt(source: SourceId, sealed: Uint8Array): Promise<Adoption<ListedSnapshot>> {
    return this.#change(source, async () => {
      const head = verifyHead(sealed, this.#signer.publicKey);
      assert(head.source === source, `a head of ${head.source} was handed in as one of ${source}`);
      const own = this.#heads.get(source);
      const found: KnownHead = { head, sealed, hash: headHash(sealed) };
      const adoption = decideAdoption(own === undefined ? undefined : { ...own.head, hash: own.hash }, {
        ...head,
        hash: found.hash,
      });
      if (adoption.kind === 'adopted') await this.#keep(found);
      if (adoption.kind === 'forked') {
        const unacceptedSinceMs = own?.head.unacceptedSinceMs ?? head.unacceptedSinceMs;
        await this.#publish(source, { snapshots: adoption.union, unacceptedSinceMs });
      }
      return adoption;
    });
  }

  async #publish(source: SourceId, { snapshots, unacceptedSinceMs }: HeadToSign): Promise<KnownHead> {
    if (snapshots.length > HEAD_SNAPSHOTS_MAX) {
      throw new ClusterError(
        'HEAD_FULL',
        `${source} has ${snapshots.length} snapshots, a head lists at most ${HEAD_SNAPSHOTS_MAX}: set keep in its policy; all listed ones stay listed`,
        { blame: 'operator' },
      );
    }
    const own = this.#heads.get(source);
    const seq = nextSeq(own?.head);
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

  async #keep(known: KnownHead): Promise<void> {
    await writeDurable(join(this.#folder, `${splitSourceId(known.head.source).source}${SUFFIX}`), known.sealed);
    this.#heads.set(known.head.source, known);
  }

  #change<T>(source: SourceId, change: () => Promise<T>): Promise<T> {
    // A change that failed was thrown to its caller; the next one does not hang on it.
    const before = this.#changes.get(source)?.catch(() => undefined) ?? Promise.resolve();
    const after = before.then(change);
    this.#changes.set(source, after);
    return after;
  }
}

function readHead(path: string, sealed: Uint8Array): Head {
  try {
    return decodeHead(sealed);
  } catch (cause) {
    throw damaged(path, cause);
  }
}

function damaged(path: string, cause: unknown): ClusterError {
  return new ClusterError(
    'HEAD_DAMAGED',
    `${path} is not a head of this host's source (${cause instanceof Error ? cause.message : String(cause)}); nothing was changed: move the file away and it goes on from the head in the catalog, or a later one that peers remember`,
    { blame: 'passing', cause },
  );
}
