/**
 * Brakes: sources in which so much left or changed, at once or within a day, that a person should look before any of their snapshots is
 * unlisted (retention.ts of the catalog says how much, mass-changes.ts looks). Kept in `STATE/brakes.json`, each written before the head that lists
 * the snapshot which showed it: no crash lets retention pass it by.
 *
 * A damaged file stays as it is, for it may have named any source: until somebody removes it every start brakes them all. It is
 * seen to be gone when the next brake is to be written.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type ObjectId, parseObjectId, parseSourceId, type SourceId } from '../core/ids.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { Turns } from '../store/turns.js';
import type { Alarms } from './alarms.js';

const FILE = 'brakes.json';

export interface MassChange {
  /** The snapshot that shows it. */
  readonly snapshot: ObjectId;
  readonly timeMs: number;
  readonly filesBefore: number;
  readonly filesGone: number;
  readonly filesChanged: number;
  /** Of the older snapshot in which there were so many files before, where that is not the last one. */
  readonly sinceSnapshotMs?: number | undefined;
}

const count = z.int().nonnegative();
const braked = z.strictObject({
  snapshot: z.string().transform(text => parseObjectId(text)),
  timeMs: count,
  filesBefore: count,
  filesGone: count,
  filesChanged: count,
  /** The time of the first snapshot that nobody has accepted; `timeMs` is of the last that showed a mass change. */
  sinceMs: count.optional(),
  sinceSnapshotMs: count.optional(),
});
type Braked = z.infer<typeof braked>;
const brakesFile = z.strictObject({
  sources: z.record(z.string(), braked),
  /** The time of the snapshot that a person accepted last, with all before it. */
  accepted: z.record(z.string(), count).optional(),
});
interface BrakesRead {
  readonly on: Map<SourceId, Braked>;
  readonly accepted: Map<SourceId, number>;
}

export class Brakes {
  readonly #stateDir: string;
  readonly #nameOf: (source: SourceId) => string;
  readonly #alarms: Alarms;
  readonly #log: Logger;
  readonly #on: Map<SourceId, Braked>;
  readonly #accepted: Map<SourceId, number>;
  /** The file could not be read: every source may have been in it, but those that a person has looked at since. */
  #lookedAt: Set<SourceId> | undefined;
  readonly #turns = new Turns<'write'>();

  constructor({
    stateDir,
    nameOf,
    alarms,
    log,
  }: {
    readonly stateDir: string;
    /** What a person calls a source, and may type. */
    readonly nameOf: (source: SourceId) => string;
    readonly alarms: Alarms;
    readonly log: Logger;
  }) {
    this.#stateDir = stateDir;
    this.#nameOf = nameOf;
    this.#alarms = alarms;
    this.#log = log;
    const read = readBrakes(stateDir, log);
    this.#on = read?.on ?? new Map();
    this.#accepted = read?.accepted ?? new Map();
    this.#lookedAt = read === undefined ? new Set() : undefined;
    if (read === undefined) {
      const text = `${FILE} is damaged, and may have named any source: no snapshot is unlisted until 'cluster backup SOURCE --accept-changes' says that it was looked at. Then remove the file`;
      alarms.raise('BRAKES_DAMAGED', FILE, text);
    }
  }

  /**
   * The alarms are those of the sources that the policy has: of another one nothing is unlisted, and nobody could accept anything.
   * Should it have that one again, its brake is on as before, unless an admin forgot the source meanwhile.
   */
  configure(
    sources: ReadonlySet<SourceId>,
    { isForgotten }: { readonly isForgotten: (source: SourceId) => boolean },
  ): void {
    let areDropped = false;
    for (const [source, change] of this.#on) {
      if (isForgotten(source)) {
        this.#accepted.delete(source);
        areDropped = this.#on.delete(source);
      }
      if (sources.has(source) && this.#on.has(source)) this.#alarm(source, change);
      else this.#alarms.clear('MASS_CHANGE', source);
    }
    if (!areDropped) return;
    this.#write().catch((error: unknown) => {
      this.#log.warn(
        { code: 'BRAKES_NOT_WRITTEN', err: error },
        `${FILE} has brakes of sources that were forgotten still`,
      );
    });
  }

  /** Why nothing of the source may be unlisted; undefined when it may. */
  on(source: SourceId): string | undefined {
    const change = this.#on.get(source);
    if (change !== undefined) return changeText(change);
    return this.#lookedAt?.has(source) === false ? `${FILE} is damaged, and may have named it` : undefined;
  }

  /** Snapshots from then on are not accepted yet; undefined when all are, or nobody knows. */
  sinceMs(source: SourceId): number | undefined {
    const change = this.#on.get(source);
    return change?.sinceMs ?? change?.timeMs;
  }

  /** What a person accepted last is of then; undefined when nobody was asked. */
  acceptedMs(source: SourceId): number | undefined {
    return this.#accepted.get(source);
  }

  /** Durable when this returns. */
  async pull(source: SourceId, change: MassChange): Promise<void> {
    this.#on.set(source, { ...change, sinceMs: this.sinceMs(source) ?? change.timeMs });
    this.#alarm(source, change);
    await this.#write();
  }

  /** A person has looked: it is meant, up to the snapshot of this time. Durable when this returns. */
  async release(source: SourceId, acceptedMs: number): Promise<void> {
    this.#lookedAt?.add(source);
    this.#on.delete(source);
    this.#accepted.set(source, acceptedMs);
    await this.#write();
    this.#alarms.clear('MASS_CHANGE', source);
  }

  #alarm(source: SourceId, change: MassChange): void {
    const name = this.#nameOf(source);
    this.#alarms.raise(
      'MASS_CHANGE',
      source,
      `source ${name}: ${changeText(change)}; its snapshots go on, but none is unlisted and the trees in the stores stay as they were until 'cluster backup ${name} --accept-changes' says that it is meant`,
    );
  }

  async #write(): Promise<void> {
    const file = join(this.#stateDir, FILE);
    if (this.#lookedAt !== undefined) {
      if (existsSync(file)) return;
      this.#lookedAt = undefined;
      this.#alarms.clear('BRAKES_DAMAGED', FILE);
    }
    await this.#turns.take('write', async () => {
      const [sources, accepted] = [Object.fromEntries(this.#on), Object.fromEntries(this.#accepted)];
      const text = JSON.stringify({ sources, accepted }, undefined, 2);
      await writeDurable(file, `${text}\n`, { mode: 0o600 });
    });
  }
}

function changeText({ snapshot, timeMs, filesBefore, filesGone, filesChanged, sinceSnapshotMs }: MassChange): string {
  const when =
    sinceSnapshotMs === undefined ? 'at once in' : `since ${timeText(sinceSnapshotMs)}, little by little, by`;
  return `of ${filesBefore} files ${filesGone} left and ${filesChanged} changed ${when} snapshot ${snapshot.slice(0, 8)} of ${timeText(timeMs)}`;
}

const timeText = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 16)}Z`;

/** None when there is no such file; undefined when it is damaged. */
function readBrakes(stateDir: string, log: Logger): BrakesRead | undefined {
  const file = join(stateDir, FILE);
  const bytes = readIfThere(file);
  if (bytes === undefined) return { on: new Map(), accepted: new Map() };
  try {
    const { sources, accepted = {} } = brakesFile.parse(JSON.parse(bytes.toString('utf8')));
    return {
      on: new Map(Object.entries(sources).map(([source, change]) => [parseSourceId(source), change])),
      accepted: new Map(Object.entries(accepted).map(([source, timeMs]) => [parseSourceId(source), timeMs])),
    };
  } catch (error) {
    log.error({ code: 'BRAKES_DAMAGED', err: error, file }, 'this file is damaged; it was left as it is');
    return undefined;
  }
}
