/**
 * Configuration chain: which of two configurations goes before the other. Later ones of one branch replace earlier ones;
 * where two branches part, the one with the lower precedence wins, everywhere and whatever its length.
 */
import type { SignedConfig } from './host-disk.js';

export function goesBefore(config: SignedConfig, other: SignedConfig): boolean {
  if (config === other) return false;
  let [a, b]: [SignedConfig, SignedConfig] = [config, other];
  while (a.version > b.version && a.parent !== undefined) a = a.parent;
  while (b.version > a.version && b.parent !== undefined) b = b.parent;
  if (a === b) return config.version > other.version;
  while (a.parent !== b.parent && a.parent !== undefined && b.parent !== undefined) [a, b] = [a.parent, b.parent];
  return a.precedence < b.precedence;
}

/** True when neither is an ancestor of the other. */
export function areForked(a: SignedConfig, b: SignedConfig): boolean {
  const [longer, shorter] = a.version >= b.version ? [a, b] : [b, a];
  let at: SignedConfig | undefined = longer;
  while (at !== undefined && at.version > shorter.version) at = at.parent;
  return at !== shorter;
}
