/**
 * Retention: which of a source's listed snapshots stay, as the policy or a person says, and whether anything may be unlisted
 * at all now. The rules are the catalog's; this part supplies what they are asked about, and what stops them.
 *
 * Driven by the origin, after each of its snapshots and for `forget`.
 */
import type { ListedSnapshot } from '../catalog/head.js';
import { decideRetention, type KeepCounts, type KeepReason } from '../catalog/retention.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { Brakes } from './brakes.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { OnceCopied } from './once-copied.js';
import type { Protections } from './protection.js';

/** A clock further than this off the others', or behind a snapshot, cannot tell days apart. */
const CLOCK_OFF_MS_MAX = 3_600_000;
const NONE: ReadonlySet<ObjectId> = new Set();

export interface Retained {
  readonly listed: ListedSnapshot;
  /** Empty when the rules do not keep the snapshot. */
  readonly reasons: readonly KeepReason[];
}

export interface Retention {
  /** One for each listed snapshot, oldest first. */
  readonly snapshots: readonly Retained[];
  /** Why nothing may be unlisted now, whatever the rules say. */
  readonly stopped: string | undefined;
}

/**
 * The snapshots of a source that are in the future by this clock: it was ahead when they were taken, or is behind now.
 */
export const fromFuture = <Listed extends Pick<ListedSnapshot, 'timeMs'>>(
  listed: readonly Listed[],
  wallMs: number,
): readonly Listed[] => listed.filter(({ timeMs }) => timeMs - wallMs > CLOCK_OFF_MS_MAX);

export class Retainer {
  readonly #catalog: CatalogKeeper;
  readonly #protections: Protections;
  readonly #onceCopied: Pick<OnceCopied, 'copied'>;
  readonly #brakes: Brakes;
  readonly #clockAheadMs: () => number | undefined;
  readonly #wallMs: () => number;

  constructor({
    catalog,
    protections,
    onceCopied,
    brakes,
    clockAheadMs,
    wallMs,
  }: {
    readonly catalog: CatalogKeeper;
    readonly protections: Protections;
    readonly onceCopied: Pick<OnceCopied, 'copied'>;
    readonly brakes: Brakes;
    /** How far this host's wall clock is ahead of the median of the others', in ms; undefined while none is known. */
    readonly clockAheadMs: () => number | undefined;
    readonly wallMs: () => number;
  }) {
    this.#catalog = catalog;
    this.#protections = protections;
    this.#onceCopied = onceCopied;
    this.#brakes = brakes;
    this.#clockAheadMs = clockAheadMs;
    this.#wallMs = wallMs;
  }

  async judge(source: SourceId, keep: KeepCounts, signal: AbortSignal): Promise<Retention> {
    const listed = this.#catalog.get(source)?.head.snapshots ?? [];
    const stopped = this.clockOff() ?? this.#datedAhead(listed) ?? this.#brakes.on(source);
    const safe = { complete: true, protected: true, copied: true };
    const asIfSafe = decideRetention({ snapshots: listed.map(({ id, timeMs }) => ({ id, timeMs, ...safe })), keep });
    // These are kept in any case. Only if something is left over is it asked, page by page, which hosts hold what.
    const isLeftOver = asIfSafe.some(({ reasons }) => reasons.length === 0);
    const isProtected = isLeftOver ? await this.#protections.protectedOf(source, listed, signal) : NONE;
    const isCopied = isLeftOver ? await this.#onceCopied.copied(source, listed, signal) : NONE;
    const snapshots = listed.map(({ id, timeMs, complete }) => ({
      id,
      timeMs,
      complete,
      protected: isProtected.has(id),
      copied: isProtected.has(id) || isCopied.has(id),
    }));
    const verdicts = decideRetention({ snapshots, keep });
    return {
      stopped,
      snapshots: listed.map((one, place) => ({ listed: one, reasons: verdicts[place]?.reasons ?? [] })),
    };
  }

  /** How far this host's clock is off the others', as text, when that is too far. */
  clockOff(): string | undefined {
    const aheadMs = this.#clockAheadMs();
    if (aheadMs === undefined || Math.abs(aheadMs) <= CLOCK_OFF_MS_MAX) return undefined;
    const hours = Math.round(Math.abs(aheadMs) / 3_600_000);
    return `this host's clock is ${hours} h ${aheadMs > 0 ? 'ahead of' : 'behind'} the others'`;
  }

  /** Each snapshot after one from the future follows it by a millisecond: all would fall in one hour, day and month. */
  #datedAhead(listed: readonly ListedSnapshot[]): string | undefined {
    const last = fromFuture(listed, this.#wallMs()).at(-1);
    return (
      last &&
      `its newest snapshot is dated ${new Date(last.timeMs).toISOString().slice(0, 16)}Z, which is in the future`
    );
  }
}
