/**
 * Configuration chain: which of two configurations goes before the other. Later ones of one branch replace earlier ones;
 * where two branches part, the one that takes a member out wins, for every member can sign here; of two that do, or do not,
 * the one with the lower precedence, everywhere and whatever its length. As `decideFork` of the product.
 */
import type { SignedConfig } from './host-disk.js';

export function goesBefore(config: SignedConfig, other: SignedConfig): boolean {
  if (config === other) return false;
  let [a, b]: [SignedConfig, SignedConfig] = [config, other];
  while (a.version > b.version && a.parent !== undefined) a = a.parent;
  while (b.version > a.version && b.parent !== undefined) b = b.parent;
  if (a === b) return config.version > other.version;
  while (a.parent !== b.parent && a.parent !== undefined && b.parent !== undefined) [a, b] = [a.parent, b.parent];
  const takesOut = takesMemberOut(config, a);
  if (takesOut !== takesMemberOut(other, b)) return takesOut;
  return a.precedence < b.precedence;
}

/** True when a version of the branch that begins with `first` and ends with `last` does. */
function takesMemberOut(last: SignedConfig, first: SignedConfig): boolean {
  for (let at = last; at.parent !== undefined; at = at.parent) {
    const left = new Set(at.members.flatMap(({ host, state }) => (state === 'revoked' ? [] : [host])));
    if (at.parent.members.some(({ host, state }) => state !== 'revoked' && !left.has(host))) return true;
    if (at === first) return false;
  }
  return false;
}

/** True when neither is an ancestor of the other. */
export function areForked(a: SignedConfig, b: SignedConfig): boolean {
  const [longer, shorter] = a.version >= b.version ? [a, b] : [b, a];
  let at: SignedConfig | undefined = longer;
  while (at !== undefined && at.version > shorter.version) at = at.parent;
  return at !== shorter;
}
