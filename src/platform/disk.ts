/**
 * Disk: a folder whose file calls wait apart from all others, so that a disk that hangs holds up nobody else.
 *
 * Node makes file calls in threads that all of the process share (libuv's; cli/cluster.cts), and a call that hangs keeps its thread
 * until the disk answers, which nobody can hasten. So below such a folder only few are under way at once, and the others wait.
 *
 * A disk can be given up. Whoever waits for it is told so at once, as of any error of a disk: what became of the call is not known.
 * The calls themselves go on in the kernel, and may still write. So nothing more is begun there, also by those who come back from
 * such an error, until the last of them has ended and somebody takes the disk up again, who then finds on it what is so. What was
 * opened before stays shut after that too.
 *
 * Set apart, given up and taken up by the daemon: stores by own-stores.ts, sources by source-disks.ts. The calls stand in
 * disk-calls.ts. A process with calls that hang is ended by end-process.ts.
 */
import type { WorkerSession } from './worker-thread.js';

/** Calls of one disk at once: as many as libuv has threads for a whole process, if nobody says otherwise. */
const CALLS_AT_ONCE = 4;

/** After so long a call hangs, in ms. A disk that wakes up or tries a bad sector again answers sooner, mostly by an error. */
const CALL_MS_MAX = 2 * 60_000;
/** The same of a flush, in ms: a slow stick may take minutes for what the kernel has let it owe. */
const FLUSH_MS_MAX = 10 * 60_000;

/** How long a call may take. */
export interface Patience {
  readonly callMs: number;
  readonly flushMs: number;
}

export const PATIENCE: Patience = { callMs: CALL_MS_MAX, flushMs: FLUSH_MS_MAX };

/** A disk was given up: what was asked of it may have been done, or be done yet. */
export class DiskHangs extends Error {
  readonly code = 'DISK_HANGS';
  constructor(folder: string) {
    super(`the disk of ${folder} does not answer`);
  }
}

export type CallKind = 'call' | 'flush';

interface UnderWay {
  readonly kind: CallKind;
  sinceMs: number;
  /** Signs of life that its thread has given; one that keeps a thread of libuv gives none. */
  readonly signs: () => number;
  signsSeen: number;
  readonly reject: (error: DiskHangs) => void;
}

interface Beginning<T> extends Pick<UnderWay, 'kind' | 'signs'> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** Somebody reads or writes there in a thread of its own, for hours maybe, and gives signs of life. */
export interface Visit {
  /** Such a sign, or it is waited for from now on. */
  waits(): void;
  /** It need give none for now: it may wait for us. */
  rests(): void;
  /** It touches the disk no more. */
  end(): void;
}

interface Queued {
  readonly begin: () => void;
  readonly reject: (error: DiskHangs) => void;
}

export class Disk {
  readonly folder: string;
  /** Folders by which it can be reached, with a slash behind each. */
  readonly #folders: string[] = [];
  readonly #underWay = new Set<UnderWay>();
  readonly #queue: Queued[] = [];
  #places = CALLS_AT_ONCE;
  #refusal: DiskHangs | undefined;
  /** How often it was given up. */
  #life = 0;
  #onSettled: (() => void)[] = [];

  /** By `setApart` only. */
  constructor(folder: string) {
    this.folder = folder;
    this.alsoAt(folder);
  }

  /** The same disk under another name: a symlink leads there. */
  alsoAt(folder: string): void {
    const name = folder.endsWith('/') ? folder : `${folder}/`;
    if (!this.#folders.includes(name)) this.#folders.push(name);
  }

  /** How long the name is by which a path, with a slash behind it, lies on it; 0 when it does not. */
  nameLength(path: string): number {
    let length = 0;
    for (const name of this.#folders) if (name.length > length && path.startsWith(name)) length = name.length;
    return length;
  }

  get isGivenUp(): boolean {
    return this.#refusal !== undefined;
  }

  /** Unlike that of what was opened before it was given up. */
  get life(): number {
    return this.#life;
  }

  /** Something of it has not ended yet. */
  get isBusy(): boolean {
    return this.#underWay.size > 0;
  }

  /** A call that keeps a thread of libuv. @throws DiskHangs when the disk is given up */
  run<T>(call: () => Promise<T>, kind: CallKind = 'call'): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) return reject(this.#refusal);
      const begin = (): void => {
        this.#places -= 1;
        const ended = this.#begin(call, { kind, signs: none, resolve, reject });
        void ended.then(() => {
          this.#places += 1;
          this.#queue.shift()?.begin();
        });
      };
      if (this.#places > 0) begin();
      else this.#queue.push({ begin, reject });
    });
  }

  /**
   * As `run`, of what a thread of the disk's own is asked for, maybe behind much else. It hangs when the thread gives no sign of life.
   *
   * @param signs how many it has given
   */
  watch<T>(call: () => Promise<T>, signs: () => number): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#refusal !== undefined) reject(this.#refusal);
      else void this.#begin(call, { kind: 'call', signs, resolve, reject });
    });
  }

  /** @param onGivenUp when the disk is given up, or at once when it is */
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

  /** What must be done whatever has become of the disk: to let go of what is open there. Nobody waits for it but `settled`. */
  letGo(call: () => Promise<unknown>): void {
    void this.#begin(call, { kind: 'flush', signs: none, resolve: () => {}, reject: () => {} });
  }

  /** A call takes longer than that. */
  hangs({ callMs, flushMs }: Patience): boolean {
    const nowMs = performance.now();
    for (const underWay of this.#underWay) {
      const given = underWay.signs();
      if (given !== underWay.signsSeen) Object.assign(underWay, { signsSeen: given, sinceMs: nowMs });
      if (nowMs - underWay.sinceMs > (underWay.kind === 'flush' ? flushMs : callMs)) return true;
    }
    return false;
  }

  /** The process did for so long: what ended meanwhile has not been heard of yet, and no disk has kept it waiting. */
  stoodStill(ms: number): void {
    for (const underWay of this.#underWay) underWay.sinceMs += ms;
  }

  /** Whoever waits for it waits no longer, and nothing more is begun until it is taken up. */
  giveUp(): void {
    if (this.#refusal !== undefined) return;
    const refusal = new DiskHangs(this.folder);
    this.#refusal = refusal;
    this.#life += 1;
    for (const { reject } of [...this.#underWay, ...this.#queue.splice(0)]) reject(refusal);
  }

  /** When every call that was begun has ended: nothing is written there any more by whoever used it before. */
  async settled(): Promise<void> {
    while (this.isBusy) await new Promise<void>(resolve => this.#onSettled.push(resolve));
  }

  /** Only when it has settled. */
  takeUp(): void {
    if (this.isBusy) throw new Error(`the disk of ${this.folder} is taken up while a call of its last user goes on`);
    this.#refusal = undefined;
  }

  /** Resolves, in the end, whatever becomes of the call. */
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

/** Its calls wait apart from now on. The same one for the same folder. */
export function setApart(folder: string): Disk {
  const known = disks.find(disk => disk.folder === folder);
  if (known !== undefined) return known;
  const disk = new Disk(folder);
  disks.push(disk);
  return disk;
}

/** Its calls wait together with all others again, but for those that were begun. */
export function putBack(disk: Disk): void {
  const at = disks.indexOf(disk);
  if (at >= 0) disks.splice(at, 1);
}

/** The innermost, where one lies below another. `undefined` for what waits together with all else. */
export function diskOf(path: string | Uint8Array): Disk | undefined {
  // What is no UTF-8 comes behind the name of the disk.
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

/** Of what a thread is asked for, which waits for a disk that may have been set apart. */
export function watchedBy<Ask, Reply>(
  disk: Disk | undefined,
  { ask, signs }: Pick<WorkerSession<Ask, Reply>, 'ask' | 'signs'>,
  ...asked: Parameters<WorkerSession<Ask, Reply>['ask']>
): Promise<Reply> {
  return disk === undefined ? ask(...asked) : disk.watch(() => ask(...asked), signs);
}

/** A call goes on, which may hang. */
export function isAnyDiskBusy(): boolean {
  return disks.some(disk => disk.isBusy);
}
