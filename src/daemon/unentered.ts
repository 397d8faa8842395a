/**
 * Unentered: what lies below a source on other file systems, and so in no snapshot of it: disks that are mounted there, Btrfs
 * subvolumes and ZFS data sets. Most who name a folder mean all that is in it, so they are told, until the policy says what is meant.
 */
import type { Unentered } from '../catalog/merge-scan.js';
import { escapePath } from '../catalog/path-text.js';
import type { SourceId } from '../core/ids.js';
import type { Alarms } from './alarms.js';

export const UNENTERED = 'MOUNTS_NOT_ENTERED';
/** Enough to know which are meant. */
const NAMED_MAX = 3;

/** After each run. */
export function tellUnentered(
  alarms: Pick<Alarms, 'raise' | 'clear'>,
  source: SourceId,
  { name, unentered }: { readonly name: string; readonly unentered: Unentered },
): void {
  const { count, paths } = unentered;
  if (count === 0) {
    alarms.clear(UNENTERED, source);
    return;
  }
  const named = paths.slice(0, NAMED_MAX).map(escapePath);
  const more = count > named.length ? ` and ${count - named.length} more` : '';
  alarms.raise(
    UNENTERED,
    source,
    `source ${name}: not backed up, for it lies on other file systems: ${named.join(', ')}${more}. Back it up with the source by \`crossMounts: true\`, or as a source of its own; \`exclude\` what is not to be backed up here, which ends this alarm`,
  );
}
