/**
 * Catalog keeper: the heads of all sources that this host knows, with their snapshots and pages on its own disk.
 *
 * A head is believed when its origin signed it and it is newer than the one we have; it is in force only when everything
 * that it lists has been fetched and is durable, and then it is written down, durably, before the machine hears of it: so
 * a head's seq never goes back, not even over a crash (I7).
 *
 * Of two heads with one seq the lower hash wins, everywhere; the origin, told by an alarm, goes on above both.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { decodeHead, type Head, headHash, verifyHead } from '../catalog/head.js';
import { decodePage } from '../catalog/page.js';
import { verifySnapshot } from '../catalog/snapshot.js';
import type { KnownHead } from '../catalog/source-history.js';
import { ClusterError } from '../core/fault.js';
import { type ObjectId, type PeerName, type SourceId, splitSourceId } from '../core/ids.js';
import type { HeadHint } from '../core/messages.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import type { Alarms } from './alarms.js';
import type { Unstamped } from './driver.js';
import { type HeadChange, headChange } from './head-change.js';
import type { Roster } from './roster.js';
import { KeyedTurns } from './turns.js';

/** Pages asked of a peer at a time: it serves 8 such streams of one host, and records are asked for besides. */
const PAGES_AT_ONCE = 4;

export interface CatalogKeeperOptions {
  /** STATE/catalog/heads, which exists. */
  readonly folder: string;
  readonly objects: ObjectWriter;
  /** Where snapshots and pages come from that are not here: a peer that knows the head. */
  readonly fromPeer: (peer: PeerName) => ObjectReader;
  /** In the configuration, or archived by it: no other source's head is taken, so that no member can make up sources. */
  readonly isConfigured: (source: SourceId) => boolean;
  readonly roster: Roster;
  readonly tell: (input: Unstamped) => void;
  readonly alarms: Alarms;
  readonly log: Logger;
}

/** Told of each head that has come into force, and of what it changed. */
export type HeadListener = (source: SourceId, change: HeadChange) => void;

export class CatalogKeeper {
  readonly objects: ObjectWriter;
  readonly #options: CatalogKeeperOptions;
  readonly #heads = new Map<SourceId, KnownHead>();
  /** The seq of each head on our disk, in force or not: an earlier one never replaces it. */
  readonly #floors = new Map<SourceId, number>();
  readonly #turns = new KeyedTurns<SourceId>();
  readonly #listeners: HeadListener[] = [];

  constructor(options: CatalogKeeperOptions) {
    this.#options = options;
    this.objects = options.objects;
  }

  /** Reads the heads that were in force before, and tells the machine what they want. */
  async open(): Promise<void> {
    const { folder, log } = this.#options;
    for (const name of await readdir(folder)) {
      const bytes = readIfThere(join(folder, name));
      if (!name.endsWith('.head') || bytes === undefined) continue;
      try {
        const head = decodeHead(bytes);
        this.#floors.set(head.source, head.seq);
        await this.#enforce({ head, sealed: bytes, hash: headHash(bytes) });
      } catch (error) {
        // A damaged file, or an object that is gone: the head, or a later one, comes back from any peer that has it.
        log.error(
          { code: 'HEAD_UNREADABLE', file: name, err: error },
          'a head cannot be used; it will be asked for again',
        );
      }
    }
  }

  onHead(listener: HeadListener): void {
    this.#listeners.push(listener);
  }

  get(source: SourceId): KnownHead | undefined {
    return this.#heads.get(source);
  }

  sources(): IterableIterator<SourceId> {
    return this.#heads.keys();
  }

  heads(): IterableIterator<KnownHead> {
    return this.#heads.values();
  }

  hints(): readonly HeadHint[] {
    return [...this.#heads.values()].map(({ head, hash }) => ({ source: head.source, seq: head.seq, hash }));
  }

  /**
   * A head from a peer or a store of ours, or from our own history (`from` undefined: then all its objects are here already).
   * @throws BadSignature, MalformedObject (peer); ObjectMissing (passing)
   */
  async offer(bytes: Uint8Array, from: PeerName | ObjectReader | undefined, signal?: AbortSignal): Promise<void> {
    const { source } = decodeHead(bytes);
    await this.#turns.take(source, async () => {
      const { origin } = splitSourceId(source);
      const key = this.#options.roster.keyOf(origin);
      if (key === undefined) {
        throw new ClusterError('HEAD_OF_STRANGER', `the head of ${source} is by no member`, { blame: 'peer' });
      }
      if (!this.#options.isConfigured(source)) {
        // Its configuration may be on its way to us: the head is asked for again when it is here.
        throw new ClusterError('SOURCE_UNKNOWN', `${source} is not in the configuration`, { blame: 'passing' });
      }
      const head = verifyHead(bytes, key);
      const hash = headHash(bytes);
      const known = this.#heads.get(source);
      if (head.seq < (this.#floors.get(source) ?? 0) || known?.hash === hash) return;
      if (known !== undefined && known.head.seq === head.seq) {
        this.#options.alarms.raise(
          'HEAD_FORKED',
          source,
          `source ${source} has two heads with number ${head.seq}: was its origin restored from an old image?`,
        );
        if (known.hash < hash) return;
      }
      const reader = typeof from === 'string' ? this.#options.fromPeer(from) : from;
      if (reader !== undefined) await this.#fetchObjects(head, known?.head, reader, key, signal);
      await this.objects.flush();
      try {
        await this.#enforce({ head, sealed: bytes, hash });
      } catch (error) {
        if (reader === undefined || !(error instanceof ClusterError) || error.code !== 'OBJECT_MISSING') throw error;
        // An object that we had is lost: everything that the head lists is looked for, not only what is new.
        await this.#fetchObjects(head, undefined, reader, key, signal);
        await this.objects.flush();
        await this.#enforce({ head, sealed: bytes, hash });
      }
    });
  }

  /** Heads, snapshots and pages into another catalog (a store's own), durably. */
  async copyTo(source: SourceId, target: ObjectWriter): Promise<KnownHead | undefined> {
    const known = this.#heads.get(source);
    if (known === undefined) return undefined;
    // Pages before the snapshots that list them: a snapshot that is there has its pages, so it need not be looked into.
    const absent: ObjectId[] = [];
    for (const { id } of known.head.snapshots) if (!(await target.has(id))) absent.push(id);
    for (const id of absent) {
      const { pages } = verifySnapshot(await this.#need(id), this.#keyOf(source));
      for (const page of pages) if (!(await target.has(page))) await target.put(await this.#need(page));
    }
    await target.flush();
    for (const id of absent) await target.put(await this.#need(id));
    await target.flush();
    return known;
  }

  #keyOf(source: SourceId): Uint8Array {
    const key = this.#options.roster.keyOf(splitSourceId(source).origin);
    if (key === undefined) throw new ClusterError('HEAD_OF_STRANGER', `${source} is no member's`, { blame: 'passing' });
    return key;
  }

  async #need(id: ObjectId): Promise<Uint8Array> {
    const bytes = await this.objects.get(id);
    if (bytes === undefined) {
      throw new ClusterError('OBJECT_MISSING', `catalog object ${id} is missing here; it will be asked for again`, {
        blame: 'passing',
      });
    }
    return bytes;
  }

  async #fetchObjects(
    head: Head,
    known: Head | undefined,
    reader: ObjectReader,
    key: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const had = new Set(known?.snapshots.map(({ id }) => id));
    for (const { id } of head.snapshots) {
      if (had.has(id)) continue;
      signal?.throwIfAborted();
      const sealed = await this.#fetchObject(id, reader);
      const snapshot = verifySnapshot(sealed, key);
      if (snapshot.source !== head.source) {
        throw new ClusterError(
          'FOREIGN_SNAPSHOT',
          `the head of ${head.source} lists a snapshot of ${snapshot.source}`,
          { blame: 'peer' },
        );
      }
      for (let at = 0; at < snapshot.pages.length; at += PAGES_AT_ONCE) {
        signal?.throwIfAborted();
        const pages = snapshot.pages.slice(at, at + PAGES_AT_ONCE);
        await Promise.all(pages.map(async page => decodePage(await this.#fetchObject(page, reader))));
      }
    }
  }

  async #fetchObject(id: ObjectId, reader: ObjectReader): Promise<Uint8Array> {
    const here = await this.objects.get(id);
    if (here !== undefined) return here;
    const bytes = await reader.get(id);
    if (bytes === undefined) {
      throw new ClusterError('OBJECT_MISSING', `the peer that told of a head lacks its object ${id}`, {
        blame: 'passing',
      });
    }
    await this.objects.put(bytes);
    return bytes;
  }

  async #enforce(known: KnownHead): Promise<void> {
    const { head, sealed, hash } = known;
    const { source, seq } = head;
    const before = this.#heads.get(source);
    const change = await headChange(this.objects, before?.head, head);
    const { origin, source: name } = splitSourceId(source);
    const file = join(this.#options.folder, `${origin}-${name}.head`);
    const onDisk = readIfThere(file);
    if (onDisk === undefined || !onDisk.equals(sealed)) await writeDurable(file, sealed, { mode: 0o600 });
    this.#heads.set(source, known);
    this.#floors.set(source, seq);
    this.#options.tell({ is: 'wanted', source, head: { source, seq, hash }, ...change });
    for (const listener of this.#listeners) listener(source, change);
  }
}
