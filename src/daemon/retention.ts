/**
 * Retention: which of a source's listed snapshots stay, as the policy or a person says, and whether anything may be unlisted
 * at all now. The rules are the catalog's; here is what they are asked about, and what stops them.
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

/** A clock that is further off the others' than this tells no days apart, nor does one that is so far behind a snapshot. */
const CLOCK_OFF_MS_MAX = 3_600_000;
const NONE: ReadonlySet<ObjectId> = new Set();

export interface Retained {
  readonly listed: ListedSnapshot;
  /** None: the rules do not keep it. */
  readonly reasons: readonly KeepReason[];
}

export interface Retention {
  /** One a listed snapshot, oldest first. */
  readonly snapshots: readonly Retained[];
  /** Why nothing may be unlisted now, whatever the rules say. */
  readonly stopped: string | undefined;
}

/** Those of a source's snapshots that are from the future by this clock: it was ahead when they were taken, or is behind now. */
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
    /** How far our wall clock is ahead of the median of the others', in ms; undefined while none is known. */
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
    // What is kept then is kept in any case; only if something is left over is it asked, page by page, who holds what.
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

  /** How far this host's clock is off the others', where that is too far. */
  clockOff(): string | undefined {
    const aheadMs = this.#clockAheadMs();
    if (aheadMs === undefined || Math.abs(aheadMs) <= CLOCK_OFF_MS_MAX) return undefined;
    const hours = Math.round(Math.abs(aheadMs) / 3_600_000);
    return `this host's clock is ${hours} h ${aheadMs > 0 ? 'ahead of' : 'behind'} the others'`;
  }

  /** Each snapshot after one from the future follows it by a millisecond: all of them would lie in one hour, day and month. */
  #datedAhead(listed: readonly ListedSnapshot[]): string | undefined {
    const last = fromFuture(listed, this.#wallMs()).at(-1);
    return (
      last &&
      `its newest snapshot is dated ${new Date(last.timeMs).toISOString().slice(0, 16)}Z, which is in the future`
    );
  }
}
