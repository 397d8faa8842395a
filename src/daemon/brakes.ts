/**
 * Brakes: the sources that lost or changed so much, at once or within a day, that a person should look before any of
 * their snapshots is unlisted (the catalog's retention.ts says how much; mass-changes.ts looks). A brake is kept in
 * `STATE/brakes.json`. It is written before the head that lists the snapshot which showed the change, so that no crash
 * lets retention run past it.
 *
 * A damaged file is left as it is, because it may have named any source: until somebody removes it, every start brakes
 * all sources. That it was removed is noticed when the next brake is written.
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
  /** The snapshot that shows the change. */
  readonly snapshot: ObjectId;
  readonly timeMs: number;
  readonly filesBefore: number;
  readonly filesGone: number;
  readonly filesChanged: number;
  /** Time of the older snapshot that had these files, where that is not the last one before `snapshot`. */
  readonly sinceSnapshotMs?: number | undefined;
}

const count = z.int().nonnegative();
const braked = z.strictObject({
  snapshot: z.string().transform(text => parseObjectId(text)),
  timeMs: count,
  filesBefore: count,
  filesGone: count,
  filesChanged: count,
  /**
   * Time of the first snapshot that nobody has accepted; `timeMs` is that of the last one that showed a mass change.
   */
  sinceMs: count.optional(),
  sinceSnapshotMs: count.optional(),
});
type Braked = z.infer<typeof braked>;
const brakesFile = z.strictObject({
  sources: z.record(z.string(), braked),
  /** Time of the last snapshot that a person accepted, together with all snapshots before it. */
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
  /** Set when the file could not be read: it may have named any source but these, which a person has looked at. */
  #lookedAt: Set<SourceId> | undefined;
  readonly #turns = new Turns<'write'>();

  constructor({
    stateDir,
    nameOf,
    alarms,
    log,
  }: {
    readonly stateDir: string;
    /** The source's name as a person knows it and can type it. */
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
      const text = `${FILE} is damaged, and may have named any source: no snapshot of a source is unlisted until 'cluster backup SOURCE --accept-changes' confirms that somebody has looked at it. Then remove the file`;
      alarms.raise('BRAKES_DAMAGED', FILE, text);
    }
  }

  /**
   * Raises alarms only for the sources in the policy: nothing is unlisted of any other, and nobody could accept its
   * changes. If the policy names such a source again, its brake is on as before, unless an admin forgot the source
   * meanwhile.
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
      this.#log.warn({ code: 'BRAKES_NOT_WRITTEN', err: error }, `${FILE} still has brakes of forgotten sources`);
    });
  }

  /** Why no snapshot of the source may be unlisted; undefined when they may. */
  on(source: SourceId): string | undefined {
    const change = this.#on.get(source);
    if (change !== undefined) return changeText(change);
    return this.#lookedAt?.has(source) === false ? `${FILE} is damaged, and may have named it` : undefined;
  }

  /** Snapshots from this time on are not yet accepted; undefined when all are accepted, or when this is not known. */
  sinceMs(source: SourceId): number | undefined {
    const change = this.#on.get(source);
    return change?.sinceMs ?? change?.timeMs;
  }

  /** Time of the last snapshot that a person accepted; undefined when nobody was ever asked. */
  acceptedMs(source: SourceId): number | undefined {
    return this.#accepted.get(source);
  }

  /** Durable when this returns. */
  async pull(source: SourceId, change: MassChange): Promise<void> {
    this.#on.set(source, { ...change, sinceMs: this.sinceMs(source) ?? change.timeMs });
    this.#alarm(source, change);
    await this.#write();
  }

  /** A person has looked and accepts all changes up to the snapshot of this time. Durable when this returns. */
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
      `source ${name}: ${changeText(change)}; new snapshots are still taken, but none is unlisted and the trees in the stores stay as they were until 'cluster backup ${name} --accept-changes' confirms that the change is meant`,
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

/** No brakes when there is no such file; undefined when it is damaged. */
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
