/**
 * Disk: a folder whose file calls wait apart from all others, so that a disk that hangs holds up no other.
 *
 * Node makes file calls in threads that the whole process shares (libuv's; cli/cluster.cts). A call that hangs keeps
 * its thread until the disk answers, and nothing can hasten that. So below such a folder only a few calls run at once,
 * and the others wait. One call more may run if a person waits for it, and of those that wait it goes first: a restore
 * must not wait for four flushes, nor behind all that other hosts fetch.
 *
 * A disk can be given up. Its waiting callers are told at once, as of any disk error: the outcome of their calls is
 * unknown. The calls themselves go on in the kernel, and may still write. So no further call is begun there, not even
 * by callers that handle such an error, until the last of them has ended and the disk is taken up again, by somebody
 * who then finds out what is on it. Files opened before the disk was given up stay unusable even then.
 *
 * The daemon sets disks apart, gives them up and takes them up: own-stores.ts for stores, source-disks.ts for sources.
 * The calls are in disk-calls.ts. A process with calls that hang is ended by end-process.ts.
 */
import { type Urgency, UrgentFirst } from './urgent-first.js';
import type { WorkerSession } from './worker-thread.js';

/** Calls of one disk at once: as many as libuv has threads for a whole process by default. */
const CALLS_AT_ONCE = 4;
/** Urgent calls that may run besides. One, because each takes a thread while it hangs. */
const URGENT_CALLS_KEPT = 1;

/**
 * After this time a call counts as hanging, in ms. A disk that wakes up or retries a bad sector answers sooner, mostly
 * with an error.
 */
const CALL_MS_MAX = 2 * 60_000;
/** The same for a flush, in ms: a slow stick may take minutes to write what the kernel has buffered for it. */
const FLUSH_MS_MAX = 10 * 60_000;

/** How long a call may take. */
export interface Patience {
  readonly callMs: number;
  readonly flushMs: number;
}

export const PATIENCE: Patience = { callMs: CALL_MS_MAX, flushMs: FLUSH_MS_MAX };

/** A disk was given up: calls to it may have taken effect, or may yet. */
export class DiskHangs extends Error {
  readonly code = 'DISK_HANGS';
  constructor(folder: string) {
    super(`the disk of ${folder} does not answer`);
  }
}

type CallKind = 'call' | 'flush';

export interface CallOptions extends Urgency {
  /** Default: call. */
  readonly kind?: CallKind;
}

interface UnderWay {
  readonly kind: CallKind;
  sinceMs: number;
  /** How many signs of life the call's thread has given; a call in a libuv thread gives none. */
  readonly signs: () => number;
  signsSeen: number;
  readonly reject: (error: DiskHangs) => void;
}

interface Beginning<T> extends Pick<UnderWay, 'kind' | 'signs'> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** A reader or writer in a thread of its own, maybe for hours, that gives signs of life. */
export interface Visit {
  /** Gives a sign of life; from now on the next one is awaited. */
  waits(): void;
  /** No sign is expected for now: it may be waiting for this process. */
  rests(): void;
  /** It no longer touches the disk. */
  end(): void;
}

interface Places {
  free: number;
}

interface Queued {
  readonly begin: (places: Places) => void;
  readonly reject: (error: DiskHangs) => void;
}

export class Disk {
  readonly folder: string;
  /** Folders by which the disk can be reached, each followed by a slash. */
  readonly #folders: string[] = [];
  readonly #underWay = new Set<UnderWay>();
  readonly #queue = new UrgentFirst<Queued>();
  readonly #places: Places = { free: CALLS_AT_ONCE };
  readonly #kept: Places = { free: URGENT_CALLS_KEPT };
  #callsBegun = 0;
  #refusal: DiskHangs | undefined;
  /** How often the disk was given up. */
  #life = 0;
  #onSettled: (() => void)[] = [];

  /** To be called by `setApart` only. */
  constructor(folder: string) {
    this.folder = folder;
    this.alsoAt(folder);
  }

  /** Adds another name of the same disk, such as a symlink to it. */
  alsoAt(folder: string): void {
    const name = folder.endsWith('/') ? folder : `${folder}/`;
    if (!this.#folders.includes(name)) this.#folders.push(name);
  }

  /**
   * How long the disk's name is at the beginning of a path (which must end with a slash); 0 when the path is not on it.
   */
  nameLength(path: string): number {
    let length = 0;
    for (const name of this.#folders) if (name.length > length && path.startsWith(name)) length = name.length;
    return length;
  }

  get isGivenUp(): boolean {
    return this.#refusal !== undefined;
  }

  /** Changes when the disk is given up, so that files opened before can be told from later ones. */
  get life(): number {
    return this.#life;
  }

  /** Whether a call to it has not ended yet. */
  get isBusy(): boolean {
    return this.#underWay.size > 0;
  }

  /** All that were ever begun: when this stays the same and none is under way, nobody uses the disk. */
  get callsBegun(): number {
    return this.#callsBegun;
  }

  /** Runs a call that occupies a libuv thread. @throws DiskHangs when the disk is given up */
  run<T>(call: () => Promise<T>, { kind = 'call', isUrgent = false }: CallOptions = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) return reject(this.#refusal);
      const begin = (places: Places): void => {
        places.free -= 1;
        const ended = this.#begin(call, { kind, signs: none, resolve, reject });
        void ended.then(() => {
          places.free += 1;
          const row = places === this.#kept ? this.#queue.urgent : this.#queue.next();
          row?.shift()?.begin(places);
        });
      };
      const places = [this.#places, ...(isUrgent ? [this.#kept] : [])].find(({ free }) => free > 0);
      if (places !== undefined) begin(places);
      else this.#queue.push({ begin, reject }, { isUrgent });
    });
  }

  /**
   * As `run`, for a request to a thread of the disk's own, which may be queued behind others. It hangs when the thread
   * gives no sign of life.
   *
   * @param signs returns how many signs the thread has given
   */
  watch<T>(call: () => Promise<T>, signs: () => number): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) reject(this.#refusal);
      else void this.#begin(call, { kind: 'call', signs, resolve, reject });
    });
  }

  /** @param onGivenUp called when the disk is given up, or at once if it already is */
  visit(onGivenUp: (error: DiskHangs) => void): Visit {
    if (this.#refusal !== undefined) onGivenUp(this.#refusal);
    const underWay = this.#enter({ kind: 'call', signs: none, reject: onGivenUp });
    underWay.sinceMs = Number.POSITIVE_INFINITY;
    return {
      waits: () => {
        underWay.sinceMs = performance.now();
      },
      rests: () => {
        underWay.sinceMs = Number.POSITIVE_INFINITY;
      },
      end: () => this.#end(underWay),
    };
  }

  /**
   * Runs a call that must be made whatever has become of the disk, such as closing a file. Only `settled` waits for it.
   */
  letGo(call: () => Promise<unknown>): void {
    void this.#begin(call, { kind: 'flush', signs: none, resolve: () => {}, reject: () => {} });
  }

  /** Whether a call has been running for longer than that. */
  hangs({ callMs, flushMs }: Patience): boolean {
    const nowMs = performance.now();
    for (const underWay of this.#underWay) {
      const given = underWay.signs();
      if (given !== underWay.signsSeen) Object.assign(underWay, { signsSeen: given, sinceMs: nowMs });
      if (nowMs - underWay.sinceMs > (underWay.kind === 'flush' ? flushMs : callMs)) return true;
    }
    return false;
  }

  /**
   * The process stood still for this long: it has not heard yet of calls that ended meanwhile, and no disk is to blame.
   */
  stoodStill(ms: number): void {
    for (const underWay of this.#underWay) underWay.sinceMs += ms;
  }

  /** Rejects all waiting callers; no further call is begun until `takeUp`. */
  giveUp(): void {
    if (this.#refusal !== undefined) return;
    const refusal = new DiskHangs(this.folder);
    this.#refusal = refusal;
    this.#life += 1;
    for (const { reject } of [...this.#underWay, ...this.#queue.clear()]) reject(refusal);
  }

  /** Resolves when every call that was begun has ended: the disk's earlier users write nothing more. */
  async settled(): Promise<void> {
    while (this.isBusy) await new Promise<void>(resolve => this.#onSettled.push(resolve));
  }

  /** Only once it has settled. */
  takeUp(): void {
    if (this.isBusy) throw new Error(`the disk of ${this.folder} is taken up while a call of its last user goes on`);
    this.#refusal = undefined;
  }

  /** Resolves when the call has ended, even if it fails. */
  async #begin<T>(call: () => Promise<T>, { kind, signs, resolve, reject }: Beginning<T>): Promise<void> {
    const underWay = this.#enter({ kind, signs, reject });
    try {
      resolve(await call());
    } catch (error) {
      reject(error);
    }
    this.#end(underWay);
  }

  #enter(call: Pick<UnderWay, 'kind' | 'signs' | 'reject'>): UnderWay {
    const underWay: UnderWay = { ...call, signsSeen: call.signs(), sinceMs: performance.now() };
    this.#underWay.add(underWay);
    this.#callsBegun += 1;
    return underWay;
  }

  #end(underWay: UnderWay): void {
    this.#underWay.delete(underWay);
    if (this.isBusy) return;
    for (const settled of this.#onSettled.splice(0)) settled();
  }
}

const none = (): number => 0;

const disks: Disk[] = [];

/** From now on the folder's calls wait apart. Returns the same disk for the same folder. */
export function setApart(folder: string): Disk {
  const known = disks.find(disk => disk.folder === folder);
  if (known !== undefined) return known;
  const disk = new Disk(folder);
  disks.push(disk);
  return disk;
}

/** New calls wait together with all others again; those already begun do not. */
export function putBack(disk: Disk): void {
  const at = disks.indexOf(disk);
  if (at >= 0) disks.splice(at, 1);
}

/**
 * The innermost disk, where one is inside another. `undefined` for a path whose calls wait together with all others.
 */
export function diskOf(path: string | Uint8Array): Disk | undefined {
  // Bytes that are no UTF-8 come after the disk's name.
  const text = typeof path === 'string' ? path : Buffer.from(path.buffer, path.byteOffset, path.byteLength).toString();
  const name = `${text}/`;
  let found: Disk | undefined;
  let foundLength = 0;
  for (const disk of disks) {
    const length = disk.nameLength(name);
    if (length <= foundLength) continue;
    found = disk;
    foundLength = length;
  }
  return found;
}

/** A request to a thread that waits for a disk that may have been set apart. */
export function watchedBy<Ask, Reply>(
  disk: Disk | undefined,
  { ask, signs }: Pick<WorkerSession<Ask, Reply>, 'ask' | 'signs'>,
  ...asked: Parameters<WorkerSession<Ask, Reply>['ask']>
): Promise<Reply> {
  return disk === undefined ? ask(...asked) : disk.watch(() => ask(...asked), signs);
}

/** Whether a call is under way that may hang. */
export function isAnyDiskBusy(): boolean {
  return disks.some(disk => disk.isBusy);
}
