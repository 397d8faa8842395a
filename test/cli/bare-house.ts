/**
 * Bare house: the disks that a house leaves behind, made by the store's own code from real snapshots of real folders, with
 * no service. Each disk is given what the test says of each parcel.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { pino } from 'pino';
import { encodeHead, type ListedSnapshot } from '../../src/catalog/head.js';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { recordBlobs } from '../../src/catalog/record.js';
import type { SnapshotId } from '../../src/catalog/snapshot.js';
import type { WalkedParcel } from '../../src/catalog/snapshot-pages.js';
import { SnapshotParcels } from '../../src/catalog/snapshot-parcels.js';
import { type BlobId, type ObjectId, parseBlobId, type SourceId, sourceIdOf } from '../../src/core/ids.js';
import type { Signer } from '../../src/core/signed.js';
import type { Configuration } from '../../src/membership/configuration.js';
import { createStore } from '../../src/store/create-store.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import { openStore } from '../../src/store/open-store.js';
import type { Store } from '../../src/store/store.js';
import { ScratchSource } from '../catalog/scratch-source.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { found, hostOf, memberOf, newKey } from '../membership/cast.js';

export interface Disk {
  readonly name: string;
  /** What of the snapshots' parcels it holds; default: all. */
  readonly holds?: (parcel: WalkedParcel, snapshot: SnapshotId) => boolean;
  /** How many snapshots of each source were taken when its head was written; default: all. */
  readonly snapshots?: number;
  /** How many of these, the oldest ones, its head does not list; default: 0. */
  readonly unlisted?: number;
  /** Default: true. */
  readonly hasConfiguration?: boolean;
}

const POLICY = `cluster: home
hosts:
  mini:
    stores: [{ path: /srv/one }, { path: /srv/two }, { path: /srv/three }]
`;

/** A host `imac` with sources, and disks of a host `mini`. */
export class BareHouse {
  readonly folder: string;
  readonly imac = newKey();
  readonly mini = newKey();
  readonly configuration: Configuration;
  readonly sources: BareSource[] = [];
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext) {
    this.#t = t;
    this.folder = temporaryFolder(t);
    const members = [memberOf(this.imac, 'imac'), memberOf(this.mini, 'mini')];
    this.configuration = found([this.imac], { members, policyText: POLICY });
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  source(name = 'photos', signer = this.imac): BareSource {
    const source = new BareSource(this.#t, { id: sourceIdOf(hostOf(this.imac), name), signer });
    this.sources.push(source);
    return source;
  }

  /** From now on the disks have something else in the place of the sources, signed by somebody else. */
  impostor(): BareSource {
    this.sources.splice(0);
    return this.source('photos', newKey());
  }

  /** Gives its path. */
  async disk({ name, hasConfiguration = true, ...disk }: Disk): Promise<string> {
    const path = this.path(name);
    const { cluster, raw } = this.configuration;
    const creating = { cluster, host: hostOf(this.mini), boot: 1, nowMs: Date.now(), random: () => randomBytes(8) };
    mkdirSync(path);
    await createStore(path, creating);
    const index = openIndexDatabase(this.path(`${name}.index`));
    const log = pino({ level: 'silent' });
    const opening = { ...creating, path, previousBoot: 0, index, blobsOf: recordBlobs, log, wallMs: Date.now };
    const opened = await openStore(opening);
    if (opened.kind === 'missing') throw new Error(opened.because);
    for (const source of this.sources) await source.copyTo(opened.store, disk);
    if (hasConfiguration) await opened.store.putConfig(1, raw);
    await opened.store.close();
    await index.close();
    return path;
  }
}

export class BareSource {
  readonly id: SourceId;
  readonly listed: ListedSnapshot[] = [];
  readonly #scratch: ScratchSource;
  readonly #signer: Signer;
  /** Of all snapshots. */
  readonly #contents = new Map<BlobId, Buffer>();

  constructor(t: ExecutionContext, { id, signer }: { readonly id: SourceId; readonly signer: Signer }) {
    this.#scratch = new ScratchSource(t);
    this.id = id;
    this.#signer = signer;
  }

  /** The folder. */
  get root(): string {
    return this.#scratch.root;
  }

  write(files: Readonly<Record<string, string | Uint8Array>>): void {
    this.#scratch.write(files);
  }

  /** A snapshot of the folder as it is; each a minute after the one before. */
  async take(): Promise<ListedSnapshot> {
    const timeMs = Date.UTC(2026, 4, 1, 12, this.listed.length);
    // Without a cache, for what was just written is read again anyway.
    const order = { source: this.id, signer: this.#signer, nowMs: timeMs, cache: undefined };
    const { snapshot } = await this.#scratch.take(order);
    for (const { blob, path } of await this.#scratch.entries(snapshot))
      if (blob !== undefined) this.#contents.set(blob, readFileSync(join(this.root, path.toString())));
    const listed = { id: snapshot, timeMs, complete: true, firstSeq: this.listed.length + 1 };
    this.listed.push(listed);
    return listed;
  }

  async copyTo(
    store: Store,
    { holds = () => true, snapshots = this.listed.length, unlisted = 0 }: Omit<Disk, 'name'>,
  ): Promise<void> {
    const { objects } = this.#scratch;
    const listed = this.listed.slice(0, snapshots);
    for (const { id } of listed) {
      for await (const parcel of (await SnapshotParcels.open(objects, id)).records()) {
        if (!holds(parcel, id) || store.isPresent(parcel.ref.id)) continue;
        const record = await this.object(parcel.ref.id);
        const missing = (await store.missing(recordBlobs(record))).map(({ blob }) => parseBlobId(blob));
        await store.receiveSmall(missing.map(blob => ({ blob, content: this.#contents.get(blob) ?? Buffer.alloc(0) })));
        await store.commit(parcel.ref.id, record);
      }
      const { pages } = await readSnapshot(objects, id);
      for (const object of [...pages, id]) await store.objects.put(await this.object(object));
    }
    await store.objects.flush();
    const seq = Math.max(1, listed.length);
    const head = { source: this.id, seq, snapshots: listed.slice(unlisted), previous: undefined };
    await store.putHead(this.id, encodeHead(head, this.#signer));
  }

  async object(id: ObjectId): Promise<Uint8Array> {
    const bytes = await this.#scratch.objects.get(id);
    if (bytes === undefined) throw new Error(`the source has no object ${id}`);
    return bytes;
  }
}
