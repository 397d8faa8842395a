/**
 * A real folder as a snapshot would describe it, made by a walk of its own, and the content of its files served from it.
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Entry, EntryKind } from '../../src/catalog/entry.js';
import type { ContentFrame, ContentRequest, PlacedEntry } from '../../src/catalog/restore-content.js';
import type { RestoreProblem } from '../../src/catalog/restore-tally.js';
import { type RestoreRequest, restoreTree } from '../../src/catalog/restore-tree.js';
import { EMPTY_BLOB, hashHex } from '../../src/core/hash.js';
import type { BlobId, ParcelId } from '../../src/core/ids.js';

export const parcelNumber = (number: number): ParcelId => number.toString(16).padStart(64, '0') as ParcelId;

export function entryOf(path: string | Buffer, changes: Partial<Entry> = {}): Entry {
  const kind: EntryKind = changes.kind ?? 'file';
  return {
    path: Buffer.from(path),
    kind,
    mode: kind === 'directory' ? 0o755 : 0o644,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    user: '',
    group: '',
    mtimeNs: 1_600_000_000_123_456_789n,
    size: 0,
    blob: kind === 'file' ? (EMPTY_BLOB as BlobId) : undefined,
    target: undefined,
    link: undefined,
    device: 0n,
    xattrs: [],
    stale: false,
    mount: false,
    ...changes,
  };
}

/** A file entry with this content. */
export const fileOf = (path: string | Buffer, content: Uint8Array | string, changes: Partial<Entry> = {}): Entry => {
  const bytes = Buffer.from(content);
  return entryOf(path, { size: bytes.length, blob: hashHex(bytes) as BlobId, ...changes });
};

const KINDS: readonly [(stats: ReturnType<typeof lstatSync>) => boolean, EntryKind][] = [
  [stats => stats?.isFile() === true, 'file'],
  [stats => stats?.isDirectory() === true, 'directory'],
  [stats => stats?.isSymbolicLink() === true, 'symlink'],
  [stats => stats?.isFIFO() === true, 'fifo'],
];

/** Every path below `folder`, in path order, the folder itself first. */
export function scan(folder: Buffer): Entry[] {
  const entries: Entry[] = [];
  const visit = (path: Buffer): void => {
    const place = path.length === 0 ? folder : Buffer.concat([folder, Buffer.from('/'), path]);
    const stats = lstatSync(place, { bigint: true });
    const kind = KINDS.find(([is]) => is(lstatSync(place)))?.[1] ?? 'socket';
    const content = kind === 'file' ? readFileSync(place) : undefined;
    entries.push({
      ...entryOf(path, { kind }),
      mode: Number(stats.mode & 0o7777n),
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      mtimeNs: stats.mtimeNs,
      size: content?.length ?? 0,
      blob: content && (hashHex(content) as BlobId),
      target: kind === 'symlink' ? readlinkSync(place, 'buffer') : undefined,
      link: kind === 'file' && stats.nlink > 1n ? stats.ino.toString(16).padStart(16, '0') : undefined,
    });
    if (kind !== 'directory') return;
    for (const name of readdirSync(place, 'buffer').sort(Buffer.compare)) {
      visit(path.length === 0 ? name : Buffer.concat([path, Buffer.from('/'), name]));
    }
  };
  visit(Buffer.alloc(0));
  return entries;
}

/** Blobs by content, as a holder would serve them. */
export class Blobs {
  readonly #content = new Map<string, Buffer>();
  /** Every request so far. */
  readonly asked: ContentRequest[] = [];
  readonly unavailable = new Set<string>();
  /** Begins where it is asked to, not at the first byte. */
  beginsLater = false;

  add(content: Uint8Array | string): this {
    const bytes = Buffer.from(content);
    this.#content.set(hashHex(bytes), bytes);
    return this;
  }

  addAllOf(folder: Buffer, entries: readonly Entry[]): this {
    for (const { kind, path } of entries) {
      if (kind === 'file') this.add(readFileSync(Buffer.concat([folder, Buffer.from('/'), path])));
    }
    return this;
  }

  /** Bytes under a name that they do not hash to. */
  corrupt(content: Uint8Array | string, other: Uint8Array | string): this {
    this.#content.set(hashHex(Buffer.from(content)), Buffer.from(other));
    return this;
  }

  async *frames(request: ContentRequest, signal: AbortSignal): AsyncIterable<ContentFrame> {
    this.asked.push(request);
    for (const blob of request.blobs) {
      signal.throwIfAborted();
      const content = this.#content.get(blob);
      if (content === undefined || this.unavailable.has(blob)) {
        yield { kind: 'unavailable', blob, because: 'no host that is up holds it', hosts: ['attic'] };
        continue;
      }
      const from = this.beginsLater ? (request.from ?? 0) : 0;
      yield { kind: 'start', blob, bytes: content.length, ...(from > 0 && { from }) };
      for (let at = from; at < content.length; at += 1024 * 1024) {
        yield { kind: 'data', data: content.subarray(at, at + 1024 * 1024) };
      }
      yield { kind: 'end' };
    }
  }
}

/** Small files in parcels of `perParcel`, a large one by itself, as cutting does it. */
export function placed(entries: readonly Entry[], perParcel = 5): PlacedEntry[] {
  return entries.map((entry, index) => ({
    entry,
    parcel:
      entry.size >= 8 * 1024 * 1024 ? parcelNumber(1_000_000 + index) : parcelNumber(Math.floor(index / perParcel)),
  }));
}

/** A file two folders down. */
export const ON_DISK = placed([
  entryOf('', { kind: 'directory' }),
  entryOf('on', { kind: 'directory' }),
  entryOf('on/disk', { kind: 'directory' }),
  fileOf('on/disk/file', 'content'),
]);

export interface Restored {
  readonly report: Awaited<ReturnType<typeof restoreTree>>;
  readonly problems: readonly RestoreProblem[];
}

/** One that is interrupted when so many bytes of content have come. */
export function interruptedRestore(
  request: Parameters<typeof restore>[0],
  { afterBytes }: { readonly afterBytes: number },
): Promise<Restored> {
  const interrupt = new AbortController();
  return restore({
    ...request,
    signal: interrupt.signal,
    onProgress: ({ bytes }) => {
      if (bytes >= afterBytes) interrupt.abort(new Error('interrupted'));
    },
  });
}

export async function restore(
  request: Partial<RestoreRequest> & {
    readonly target: string;
    readonly list: readonly PlacedEntry[];
    readonly blobs: Blobs;
  },
): Promise<Restored> {
  const { list, blobs, ...changes } = request;
  const problems: RestoreProblem[] = [];
  const report = await restoreTree({
    entries: async function* () {
      yield* list;
    },
    content: (asked, signal) => blobs.frames(asked, signal),
    mark: { snapshot: 'ab'.repeat(32), sourceId: `${'cd'.repeat(16)}/photos`, under: Buffer.alloc(0) },
    existing: 'refuse',
    dryRun: false,
    verify: false,
    signal: AbortSignal.timeout(20_000),
    onProblem: problem => problems.push(problem),
    onProgress: () => {},
    onWaiting: () => {},
    ...changes,
  });
  return { report, problems };
}
