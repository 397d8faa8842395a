/**
 * Planned stores: what the stores of a host would lend by another policy, as far as can be told without their disks.
 *
 * A host says what a store lends and uses, not how large its disk is. A lower limit or a larger reserve can be reckoned
 * from that; what a higher limit would bring depends on the disk, and is taken for granted; of a new store without a
 * limit nothing is known. Each guess is told.
 *
 * Pure. Driven by config-planning.ts.
 */
import { hashHex } from '../core/hash.js';
import { type HostId, parseStoreId } from '../core/ids.js';
import type { Lending, StoreSetting } from '../membership/policy.js';
import type { HostStore } from './service.js';

export interface PlannedStores {
  /** Those that stay, and new ones. */
  readonly stores: readonly HostStore[];
  /** What can only be guessed: sentences. */
  readonly guesses: readonly string[];
}

interface Host {
  readonly id: HostId;
  readonly name: string;
  /** As they are now. */
  readonly stores: readonly HostStore[];
}

export function plannedStores(
  { id, name, stores }: Host,
  { before, after }: { readonly before: readonly StoreSetting[]; readonly after: readonly StoreSetting[] },
): PlannedStores {
  if (JSON.stringify(before) === JSON.stringify(after)) return { stores, guesses: [] };
  if (before.length > 0 && stores.some(({ mounted, path }) => mounted && path === undefined)) {
    const why = `which of the stores of ${name} is which is known on ${name} alone, so they are counted as they are now: plan it there`;
    return { stores, guesses: [why] };
  }
  const guesses: string[] = [];
  const settingOf = (settings: readonly StoreSetting[], path: string | undefined): StoreSetting | undefined =>
    settings.find(setting => setting.path === path);
  const stay = stores.flatMap((store): readonly HostStore[] => {
    const next = settingOf(after, store.path);
    if (next === undefined) return [];
    const { lends = next.lends } = settingOf(before, store.path) ?? {};
    const { lentBytes, guess } = lentAfter(lends, next.lends, store.lentBytes);
    if (guess !== undefined && store.mounted) guesses.push(`${name}:${next.path}: ${guess}`);
    return [{ ...store, lentBytes, draining: next.draining }];
  });
  const fresh = after
    .filter(({ path }) => settingOf(before, path) === undefined && !stores.some(store => store.path === path))
    .map((setting): HostStore => {
      const { path, lends, draining } = setting;
      const lentBytes = lends.kind === 'limit' ? lends.bytes : 0;
      guesses.push(
        lends.kind === 'limit'
          ? `${name}:${path} is new: it is taken to have the room that its limit allows`
          : `${name}:${path} is new, and how much room it has nobody has seen yet: none is counted`,
      );
      // It gets its own when it is made.
      const made = parseStoreId(hashHex(Buffer.from(`${id} ${path}`)).slice(0, 32));
      return { id: made, path, lentBytes, usedBytes: 0, mounted: true, draining };
    });
  return { stores: [...stay, ...fresh], guesses };
}

interface Lent {
  readonly lentBytes: number;
  readonly guess?: string;
}

/** What a store lends under `now` that lends so much under `was`. */
export function lentAfter(was: Lending, now: Lending, lentBytes: number): Lent {
  if (JSON.stringify(was) === JSON.stringify(now)) return { lentBytes };
  // A store that lends less than its limit lends all that its disk has.
  const isAll = was.kind === 'reserve' || (was.kind === 'limit' && lentBytes < was.bytes);
  const hasBytes = lentBytes + (was.kind === 'reserve' ? was.bytes : 0);
  if (now.kind === 'limit') {
    if (isAll || now.bytes <= hasBytes) return { lentBytes: Math.min(now.bytes, hasBytes) };
    return { lentBytes: now.bytes, guess: 'its disk is taken to have the room that its limit allows' };
  }
  if (now.kind === 'reserve' && isAll) return { lentBytes: Math.max(0, hasBytes - now.bytes) };
  return { lentBytes, guess: 'what it will lend depends on its disk: it is counted as now' };
}
